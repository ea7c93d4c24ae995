//! All profiles that can be named, and who extends whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, codes};
use crate::script::{Guard, Name, Policy, Profile, Script, Target};

/// How many ancestors a profile may have, itself included.
const MOST_ANCESTORS: usize = 256;

/// Profiles by name, from several files.
#[derive(Clone, Debug, Default)]
pub struct Library {
    profiles: BTreeMap<String, Profile>,
    guards: BTreeMap<String, Guard>,
    policies: Vec<Policy>,
}

/// A profile and all its ancestors.
#[derive(Clone, Debug)]
pub struct Family<'a> {
    /// The profile first; each before its parents.
    pub members: Vec<&'a Profile>,
    /// Of each member, its ancestors, as indices of members.
    ancestors: Vec<BTreeSet<usize>>,
}

impl Library {
    /// Takes in what a file says; names that were there already are told.
    pub fn add(&mut self, script: Script, diagnostics: &mut Vec<Diagnostic>) {
        for profile in script.profiles {
            let twice = self.profiles.get(&profile.name.text).map(|known| &known.name);
            if let Some(known) = twice {
                diagnostics.push(said_twice("profile", &profile.name, known));
                continue;
            }
            self.profiles.insert(profile.name.text.clone(), profile);
        }
        for guard in script.guards {
            if let Some(known) = self.guards.get(&guard.profile.text) {
                diagnostics.push(said_twice("guard of profile", &guard.profile, &known.profile));
                continue;
            }
            self.guards.insert(guard.profile.text.clone(), guard);
        }
        self.policies.extend(script.policies);
    }

    /// Takes in a script of the standard library: what is there already stays.
    pub fn add_standard(&mut self, mut script: Script, diagnostics: &mut Vec<Diagnostic>) {
        script.profiles.retain(|profile| !self.profiles.contains_key(&profile.name.text));
        script.guards.retain(|guard| !self.guards.contains_key(&guard.profile.text));
        self.add(script, diagnostics);
    }

    /// The names of profiles that are spoken of and are not there.
    pub fn missing(&self) -> BTreeSet<String> {
        let parents = self.profiles.values().flat_map(|profile| &profile.parents);
        let guarded = self.guards.values().map(|guard| &guard.profile);
        let targets = self.targets().filter_map(|target| target.profile.as_ref());
        let all = parents.chain(guarded).chain(targets).map(|name| name.text.clone());
        all.filter(|name| !self.profiles.contains_key(name)).collect()
    }

    /// What policies switch to in this kernel; what a target on another one names is that one's affair.
    fn targets(&self) -> impl Iterator<Item = &Target> {
        let all = self.policies.iter().flat_map(|policy| {
            policy.default.iter().chain(policy.rules.iter().map(|rule| &rule.target))
        });
        all.filter(|target| target.kernel.is_none())
    }

    /// The profile of a name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// All profiles, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// The policies, file by file.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// All guards, by the profile's name.
    pub fn guards(&self) -> impl Iterator<Item = &Guard> {
        self.guards.values()
    }

    /// The guard of a profile; its own, or else its nearest ancestor's.
    pub fn guard(&self, family: &Family<'_>) -> Option<&Guard> {
        family.members.iter().find_map(|member| self.guards.get(&member.name.text))
    }

    /// The known name that a wrong one most likely means.
    pub fn nearest(&self, wrong: &str) -> Option<&str> {
        notation::closest(wrong, self.profiles.keys().map(String::as_str))
    }

    /// What is wrong with names alone: parents, guarded profiles and targets that do not exist, and
    /// profiles that extend themselves.
    pub fn check(&self, diagnostics: &mut Vec<Diagnostic>) {
        for profile in self.profiles.values() {
            for parent in &profile.parents {
                self.check_name(parent, diagnostics);
            }
        }
        for guard in self.guards.values() {
            self.check_name(&guard.profile, diagnostics);
        }
        for profile in self.targets().filter_map(|target| target.profile.as_ref()) {
            self.check_name(profile, diagnostics);
        }
        let mut told = BTreeSet::new();
        for profile in self.profiles.values() {
            if let Err(diagnostic) = self.family(&profile.name.text)
                && told.insert(diagnostic.primary.span)
            {
                diagnostics.push(diagnostic);
            }
        }
    }

    fn check_name(&self, name: &Name, diagnostics: &mut Vec<Diagnostic>) {
        if !self.profiles.contains_key(&name.text) {
            diagnostics.push(self.no_such_profile(name));
        }
    }

    /// What is said of a name that no profile has.
    pub fn no_such_profile(&self, name: &Name) -> Diagnostic {
        let message = format!("there is no profile `{}`", name.text);
        let told = Diagnostic::error(codes::UNKNOWN_PROFILE, name.span, message);
        match self.nearest(&name.text) {
            Some(nearest) => told.fix(format!("did you mean `{nearest}`?"), name.span, nearest),
            None => told.help("profiles are those of this file and of the standard library"),
        }
    }

    /// A profile and its ancestors. Parents that do not exist are passed over: [`check`](Self::check)
    /// tells of them.
    ///
    /// # Errors
    /// A profile that extends itself, or has too many ancestors.
    pub fn family(&self, name: &str) -> Result<Family<'_>, Diagnostic> {
        let mut walk =
            Walk { library: self, done: Vec::new(), index: BTreeMap::new(), path: Vec::new() };
        if let Some(profile) = self.profiles.get(name) {
            walk.visit(profile)?;
        }
        // Parents were done before their children.
        let count = walk.done.len();
        let turned = |at: usize| count - 1 - at;
        let mut members = Vec::new();
        let mut ancestors = Vec::new();
        for (profile, own) in walk.done.into_iter().rev() {
            members.push(profile);
            ancestors.push(own.into_iter().map(turned).collect());
        }
        Ok(Family { members, ancestors })
    }
}

/// A walk from a profile to its ancestors.
struct Walk<'a> {
    library: &'a Library,
    /// Whose ancestors are known: indices of this list.
    done: Vec<(&'a Profile, BTreeSet<usize>)>,
    index: BTreeMap<&'a str, usize>,
    /// From the first profile to where the walk is.
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// Adds a profile and all its ancestors; tells its place. As deep as there are ancestors, which are
    /// bounded.
    fn visit(&mut self, profile: &'a Profile) -> Result<usize, Diagnostic> {
        let name = profile.name.text.as_str();
        if let Some(at) = self.index.get(name) {
            return Ok(*at);
        }
        if self.path.len() + self.done.len() >= MOST_ANCESTORS {
            let message = format!("`{name}` has more than {MOST_ANCESTORS} ancestors");
            return Err(Diagnostic::error(codes::TOO_MANY_ANCESTORS, profile.name.span, message));
        }
        self.path.push(name);
        let mut own = BTreeSet::new();
        for parent in &profile.parents {
            if let Some(at) = self.path.iter().position(|above| *above == parent.text) {
                let circle: Vec<&str> = self.path.iter().skip(at).copied().collect();
                let message = format!("`{}` extends itself", parent.text);
                let circle = format!("{} → {}", circle.join(" → "), parent.text);
                return Err(Diagnostic::error(codes::CYCLE, parent.span, message).label(circle));
            }
            let Some(known) = self.library.profiles.get(&parent.text) else { continue };
            let at = self.visit(known)?;
            own.insert(at);
            own.extend(self.done.get(at).iter().flat_map(|(_, above)| above));
        }
        self.path.pop();
        let at = self.done.len();
        self.done.push((profile, own));
        self.index.insert(name, at);
        Ok(at)
    }
}

impl Family<'_> {
    /// Whether one member extends another, over however many others.
    pub fn extends(&self, member: usize, other: usize) -> bool {
        self.ancestors.get(member).is_some_and(|ancestors| ancestors.contains(&other))
    }
}

fn said_twice(what: &str, name: &Name, known: &Name) -> Diagnostic {
    let message = format!("{what} `{}` is there twice", name.text);
    Diagnostic::error(codes::DUPLICATE, name.span, message)
        .related(known.span, "here already")
        .help("give one of them another name, or put both into one")
}
