//! A profile into force and out again, and proof of both: nothing is measured that is not so.

use std::collections::BTreeMap;

use scenarios::Server;
use serde_json::Value;

/// A profile on a server, and how the server is without it.
pub struct Profile<'a> {
    server: &'a Server,
    script: String,
    workloads: Vec<Workload>,
    untouched: State,
}

/// Programs that the profile speaks of.
struct Workload {
    program: String,
    cpus: Option<String>,
    /// Policy and priority, as `/proc/PID/stat` has them.
    scheduler: Option<(u64, u64)>,
}

/// What a profile may change: the files of its settings, and how programs run that it speaks of.
#[derive(Debug, PartialEq, Eq)]
struct State {
    files: BTreeMap<String, String>,
    programs: BTreeMap<String, Placement>,
}

/// CPUs, policy and priority.
type Placement = (String, (u64, u64));

/// What a profile changed: what, before, after.
pub type Changes = Vec<(String, String, String)>;

impl<'a> Profile<'a> {
    /// Plans a profile, which has to find everything that it speaks of and something to change.
    pub fn plan(server: &'a Server, name: &str, script: &str) -> Self {
        let path = format!("/root/{name}.ks");
        server.write(&path, script);
        // Changes that are pending are no failure here.
        let line = format!("partitiond --format json profile plan {path} --host; [ $? -le 2 ]");
        let plan = json(&server.sh(&line));
        let missing = list(&plan, "not_applicable");
        assert!(missing.is_empty(), "{name} does not apply to this kernel: {missing:?}");
        let files = list(&plan, "steps").iter().map(|step| text(&step["target"]["file"]));
        let files = files.map(|file| (file, String::new())).collect::<BTreeMap<_, _>>();
        let workloads: Vec<Workload> = list(&plan, "workloads").iter().map(workload).collect();
        assert!(!files.is_empty() || !workloads.is_empty(), "{name} changes nothing");
        let programs = workloads.iter().map(|workload| workload.program.clone());
        let programs = programs.map(|program| (program, Placement::default())).collect();
        let mut profile =
            Self { server, script: path, workloads, untouched: State { files, programs } };
        profile.untouched = profile.state();
        profile
    }

    /// Brings it into force; what it changed.
    pub fn apply(&self) -> Changes {
        let line = format!("partitiond --format json profile apply {} --host", self.script);
        let report = json(&self.server.sh(&line));
        let mut changes = Changes::new();
        for step in list(&report, "steps") {
            let outcome = text(&step["outcome"]);
            assert_eq!(outcome, "written", "{}: {step}", self.script);
            let [what, before] = [&step["setting"], &step["before"]["value"]].map(text);
            changes.push((what, before, text(&step["read"])));
        }
        for workload in &self.workloads {
            let (cpus, scheduler) = self.placement(&workload.program);
            let (usual, _) = &self.untouched.programs[&workload.program];
            let wanted = workload.cpus.as_ref().unwrap_or(usual);
            assert_eq!(&cpus, wanted, "CPUs of {}", workload.program);
            if let Some(wanted) = &workload.cpus {
                changes.push((
                    format!("CPUs of `{}`", workload.program),
                    usual.clone(),
                    wanted.clone(),
                ));
            }
            let wanted = workload.scheduler.unwrap_or_default();
            assert_eq!(scheduler, wanted, "the scheduler's policy for {}", workload.program);
            if let Some((policy, priority)) = workload.scheduler {
                let name = if policy == 1 { "fifo" } else { "another policy" };
                let what = format!("scheduler for `{}`", workload.program);
                changes.push((what, "other".to_owned(), format!("{name} {priority}")));
            }
        }
        assert!(!changes.is_empty(), "{} changed nothing", self.script);
        self.verify();
        changes
    }

    /// It is in force, and nobody has taken it back or changed anything of it.
    pub fn verify(&self) {
        self.server.sh("partitiond profile verify --host");
    }

    /// Takes it back; afterwards everything is as it was.
    pub fn roll_back(&self) {
        self.verify();
        let undone = json(&self.server.sh("partitiond --format json profile rollback --host"));
        for kind in ["differences", "left_alone", "until_next_boot"] {
            let left = list(&undone["restored"], kind);
            assert!(left.is_empty(), "{} is not undone: {kind} {left:?}", self.script);
        }
        self.assert_untouched();
    }

    /// Everything that it would change is as it was at the start.
    pub fn assert_untouched(&self) {
        assert_eq!(self.state(), self.untouched, "{} is not in force", self.script);
    }

    fn state(&self) -> State {
        let read = |file: &String| (file.clone(), self.server.sh(&format!("cat {file}")));
        let place = |program: &String| (program.clone(), self.placement(program));
        State {
            files: self.untouched.files.keys().map(read).collect(),
            programs: self.untouched.programs.keys().map(place).collect(),
        }
    }

    /// How a program runs that has just been started, once the profile, if any, has seen it.
    fn placement(&self, program: &str) -> Placement {
        let told = self.server.sh(&format!(
            "{program} hog 5 >/dev/null & sleep 1; grep Cpus_allowed_list /proc/$!/status | cut -f2; \
             cut -d' ' -f40,41 /proc/$!/stat; kill $!"
        ));
        let words: Vec<&str> = told.split_whitespace().collect();
        let [cpus, priority, policy] = words[..] else { panic!("{program} runs as {told:?}") };
        let number = |word: &str| word.parse().expect("a number");
        (cpus.to_owned(), (number(policy), number(priority)))
    }
}

fn workload(value: &Value) -> Workload {
    let wishes = &value["wishes"];
    let scheduler = wishes["scheduler"].as_object();
    Workload {
        program: text(&value["matches"][0]["patterns"][0]),
        cpus: wishes["cpus"].as_str().map(str::to_owned),
        scheduler: scheduler.map(|it| {
            let number = |name: &str| it.get(name).and_then(Value::as_u64).expect("a number");
            (number("policy"), number("priority"))
        }),
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).trim().to_owned()
}
