//! What becomes of a profile's workloads on one machine.

use std::collections::BTreeMap;

use transaction::assign::{By, Match, Scheduler, Workload, io_priority};

use super::scope::Environment;
use super::{NotApplicable, Request, Resolution};
use crate::catalogue::{At, Kind, Presence, Version};
use crate::composition::Family;
use crate::diagnostic::{Diagnostic, Span, codes};
use crate::expression::{Expression, Value, evaluate};
use crate::script::{Change, Given, Statement, Subject};
use crate::script::{Match as Matching, Workload as Written};
use crate::syntax::literal::Dimension;

/// What can be said of a workload besides limits of its control group.
const ATTRIBUTES: [&str; 6] = ["cpus", "huge_pages", "io", "nice", "oom_score_adjust", "sched"];

/// The first kernel that puts other processes' memory into huge pages (`MADV_COLLAPSE`).
const COLLAPSES: Version = Version::new(6, 1);

/// Millionths: what a share is counted in.
const WHOLE: i128 = 1_000_000;

/// Works out the workloads of a family: of each, a profile's own word wins over its ancestors'.
pub fn resolve<'a>(
    request: &Request<'a, '_>,
    family: &Family<'_>,
    environment: &Environment<'_>,
    is_guarded: bool,
    resolution: &mut Resolution<'a>,
) {
    let mut written: BTreeMap<&str, Vec<&Written>> = BTreeMap::new();
    for workload in family.members.iter().flat_map(|profile| &profile.workloads) {
        written.entry(&workload.name.text).or_default().push(workload);
    }
    for (name, all) in written {
        let mut making = Making {
            request,
            environment,
            is_guarded,
            workload: Workload {
                name: name.to_owned(),
                matches: Vec::new(),
                wishes: Default::default(),
                limits: Vec::new(),
            },
            said: Vec::new(),
            resolution,
        };
        for workload in all {
            making.take(workload);
        }
        let workload = making.workload;
        resolution.workloads.push(workload);
    }
}

struct Making<'m, 'a, 'r> {
    request: &'m Request<'a, 'r>,
    environment: &'m Environment<'m>,
    is_guarded: bool,
    workload: Workload,
    /// What has been said already, by a nearer profile.
    said: Vec<String>,
    resolution: &'m mut Resolution<'a>,
}

impl Making<'_, '_, '_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.resolution.diagnostics.push(Diagnostic::error(codes::WORKLOAD, span, message));
    }

    fn take(&mut self, workload: &Written) {
        if workload.start.is_some() {
            let message = "programs are started by a cluster file's `workloads`, not here yet";
            self.wrong(workload.name.span, message);
        }
        for matching in &workload.matches {
            self.take_match(matching);
        }
        let mut own = Vec::new();
        for statement in &workload.statements {
            let Subject::Setting { name, .. } = &statement.subject else {
                self.wrong(statement.span, "a workload has no files of the kernel");
                continue;
            };
            match self.environment.all_hold(&statement.conditions) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(fault) => {
                    self.resolution.fault(&fault, || format!("workload {}", workload.name.text));
                    continue;
                }
            }
            if self.said.contains(&name.text) {
                continue;
            }
            own.push(name.text.clone());
            self.take_statement(&name.text, name.span, statement);
        }
        self.said.extend(own);
    }

    fn take_match(&mut self, matching: &Matching) {
        let by = match matching.by.text.as_str() {
            "exec" => By::Exec,
            "cgroup" => By::Cgroup,
            "unit" => By::Unit,
            "user" => By::User,
            "image" => By::Image,
            _ => {
                let message = "programs are known by `exec`, `cgroup`, `unit`, `image` or `user`";
                return self.wrong(matching.by.span, message);
            }
        };
        let patterns = matching.patterns.iter().map(|pattern| pattern.text.clone()).collect();
        self.workload.matches.push(Match { by, patterns });
    }

    fn take_statement(&mut self, name: &str, at: Span, statement: &Statement) {
        let Change::Assign(_, given) = &statement.change else {
            return self.wrong(statement.span, "a workload takes values, not bounds");
        };
        let values = match given {
            Given::Expression(expression) => self.values([expression]),
            Given::Words(words, _) => self.values(words),
            Given::Record { span, .. } => {
                return self.wrong(*span, format!("`{name}` takes a value, not a record"));
            }
        };
        let Some(values) = values else { return };
        if let Err(message) = self.set(name, &values) {
            self.wrong(if message.1 { at } else { given.span() }, message.0);
        }
    }

    /// What expressions are worth; none where one is not known or wrong, which has been told then.
    fn values<'e>(
        &mut self,
        expressions: impl IntoIterator<Item = &'e Expression>,
    ) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        for expression in expressions {
            match evaluate(expression, self.environment) {
                Ok(value) => values.push(value),
                Err(fault) => {
                    let name = self.workload.name.clone();
                    self.resolution.fault(&fault, || format!("workload {name}"));
                    return None;
                }
            }
        }
        Some(values)
    }

    /// Sets something; else what is wrong, and whether that is its name.
    fn set(&mut self, name: &str, values: &[Value]) -> Result<(), (String, bool)> {
        let wrong = |message: &str| Err((message.to_owned(), false));
        let wishes = &mut self.workload.wishes;
        match (name, values) {
            ("cpus", [value]) => match value.to_cpus() {
                Ok(cpus) if !cpus.is_empty() => wishes.cpus = Some(cpus.to_string()),
                _ => return wrong("`cpus` takes at least one CPU"),
            },
            ("nice", [Value::Number(nice @ -20..=19)]) => wishes.nice = i32::try_from(*nice).ok(),
            ("nice", _) => return wrong("`nice` takes a number from -20 to 19"),
            ("oom_score_adjust", [Value::Number(adjust @ -999..=1000)]) => {
                wishes.oom_score_adjust = i32::try_from(*adjust).ok();
            }
            ("oom_score_adjust", _) => {
                return wrong(
                    "`oom_score_adjust` takes a number from -999 to 1000: with -1000 the kernel would kill everything else",
                );
            }
            ("huge_pages", [word]) if word.to_string() == "collapse" => self.huge_pages(),
            ("huge_pages", _) => {
                return wrong(
                    "`huge_pages` takes `collapse`: no other advice can be given from outside",
                );
            }
            ("sched", [policy, rest @ ..]) => return self.scheduler(policy, rest),
            ("io", [class, rest @ ..]) => {
                let level = match rest {
                    [] => Some(4),
                    [Value::Number(level)] => u16::try_from(*level).ok(),
                    _ => None,
                };
                let priority = level.and_then(|level| io_priority(&class.to_string(), level));
                match priority {
                    Some(priority) => wishes.io_priority = Some(priority),
                    None => {
                        return wrong(
                            "`io` takes real-time, best-effort or idle, and a level from 0 to 7",
                        );
                    }
                }
            }
            (name, [value]) => return self.limit(name, value),
            _ => return wrong("one value is expected here"),
        }
        Ok(())
    }

    /// Asks for huge pages, where the kernel can be asked.
    fn huge_pages(&mut self) {
        let kernel = &self.environment.facts().kernel;
        let reason = if kernel.version < COLLAPSES {
            Some(format!(
                "memory of other processes is put into huge pages from Linux {COLLAPSES} on"
            ))
        } else if kernel.config.get("CONFIG_TRANSPARENT_HUGEPAGE") == Some(&false) {
            Some("this kernel was built without transparent huge pages".to_owned())
        } else {
            None
        };
        let name = format!("workload.{}.huge_pages", self.workload.name);
        match reason {
            None => self.workload.wishes.huge_pages = true,
            Some(reason) => {
                let origins = Vec::new();
                self.resolution.not_applicable.push(NotApplicable { name, reason, origins });
            }
        }
    }

    /// `batch nice 0`, `fifo 10`.
    fn scheduler(&mut self, policy: &Value, rest: &[Value]) -> Result<(), (String, bool)> {
        let name = policy.to_string();
        let form = "`sched` takes other, batch or idle, and `nice` with a number; or fifo or rr with a priority from 1 to 49";
        let wrong = || (form.to_owned(), false);
        let policy = Scheduler::policy_of(&name).ok_or_else(wrong)?;
        let mut scheduler = Scheduler { policy, priority: 0 };
        match rest {
            [Value::Number(priority @ 1..=49)] if scheduler.is_real_time() => {
                scheduler.priority = i32::try_from(*priority).map_err(|_| wrong())?;
            }
            _ if scheduler.is_real_time() => return Err(wrong()),
            [] => {}
            [word, nice @ Value::Number(_)] if word.to_string() == "nice" => {
                self.set("nice", std::slice::from_ref(nice))?;
            }
            _ => return Err(wrong()),
        }
        if scheduler.is_real_time() && !self.is_guarded {
            let message =
                "tasks that go before all others can stop a machine: this takes a guard".to_owned();
            return Err((message, false));
        }
        self.workload.wishes.scheduler = Some(scheduler);
        Ok(())
    }

    /// A limit of the control group: `memory.high`.
    fn limit(&mut self, name: &str, value: &Value) -> Result<(), (String, bool)> {
        let catalogue = self.request.catalogue;
        let Some(setting) = catalogue.get(&format!("cgroup.{name}")) else {
            let limits = catalogue.settings().filter_map(|it| it.name.strip_prefix("cgroup."));
            let nearest = notation::closest(name, limits.chain(ATTRIBUTES));
            let hint = nearest.map(|nearest| format!(": did you mean `{nearest}`?"));
            return Err((format!("a workload has no `{name}`{}", hint.unwrap_or_default()), true));
        };
        let place = match self.environment.facts().kernel.find(setting) {
            Presence::Present(place) => place,
            Presence::Absent(_) => {
                return Err((format!("this kernel's control groups have no `{name}`"), true));
            }
        };
        let At::Cgroup(file) = &place.at else {
            return Err((format!("a workload has no `{name}`"), true));
        };
        let share = match (value, &setting.kind) {
            (Value::Quantity(share, Dimension::Share), Kind::Size(_)) => Some(*share),
            _ => None,
        };
        let value = match share {
            None => value.clone(),
            Some(share) => match evaluate_memory(self.environment) {
                Some(memory) => {
                    Value::Quantity(memory.saturating_mul(share) / WHOLE, Dimension::Size)
                }
                None => return Err(("the machine's memory is not known here".to_owned(), false)),
            },
        };
        let value = setting.kind.typed(&value).map_err(|error| (error.to_string(), false))?;
        self.workload.limits.push((file.clone(), setting.kind.written(&value)));
        Ok(())
    }
}

fn evaluate_memory(environment: &Environment<'_>) -> Option<i128> {
    let path = ["memory", "total"].map(str::to_owned);
    match crate::expression::Scope::find(environment, &path) {
        crate::expression::Found::Value(Value::Quantity(bytes, Dimension::Size)) => Some(bytes),
        _ => None,
    }
}
