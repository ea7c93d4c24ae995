//! Steps as the planner makes them of the catalogue, and the model's settings that they are for.

use transaction::compare::{Compare, Rounding};
use transaction::plan::{Class, Coupled, How, Origin, Undo};
use transaction::{Plan, Step, Target};

use super::model::{Model, Ways};

pub const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
pub const RMEM: &str = "/proc/sys/net/ipv4/tcp_rmem";
pub const DIRTY_BYTES: &str = "/proc/sys/vm/dirty_bytes";
pub const DIRTY_RATIO: &str = "/proc/sys/vm/dirty_ratio";
pub const OVERCOMMIT_KBYTES: &str = "/proc/sys/vm/overcommit_kbytes";
pub const OVERCOMMIT_RATIO: &str = "/proc/sys/vm/overcommit_ratio";
pub const READ_AHEAD: &str = "/sys/block/vda/queue/read_ahead_kb";
pub const REQUESTS: &str = "/sys/block/vda/queue/nr_requests";
pub const PIPE: &str = "/proc/sys/fs/pipe-max-size";
pub const POLL: &str = "/sys/block/vda/queue/io_poll";
pub const PARTITION: &str = "/sys/fs/cgroup/a/cpuset.cpus.partition";
pub const THP: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
pub const MIN_FREE: &str = "/proc/sys/vm/min_free_kbytes";
pub const SCHEDULER: &str = "/sys/block/vda/queue/scheduler";
pub const EXPIRE: &str = "/sys/block/vda/queue/iosched/read_expire";
pub const WATCHDOG: &str = "/proc/sys/kernel/watchdog";
pub const NMI: &str = "/proc/sys/kernel/nmi_watchdog";
pub const SOFT: &str = "/proc/sys/kernel/soft_watchdog";
pub const LATE: &str = "/proc/sys/kernel/late";
pub const REFUSED: &str = "/proc/sys/kernel/refused";
pub const LATCH: &str = "/proc/sys/kernel/modules_disabled";
pub const DROP: &str = "/proc/sys/vm/drop_caches";

/// All of them, as a kernel begins.
pub fn model() -> Model {
    Model::default()
        .with(SWAPPINESS, "60", Ways::TakesJunk)
        .with(RMEM, "4096 131072 6291456", Ways::Vector)
        .with(DIRTY_BYTES, "0", Ways::Bytes(DIRTY_RATIO))
        .with(DIRTY_RATIO, "20", Ways::Ratio(DIRTY_BYTES))
        .with(OVERCOMMIT_KBYTES, "0", Ways::Overcommit(OVERCOMMIT_RATIO))
        .with(OVERCOMMIT_RATIO, "50", Ways::Overcommit(OVERCOMMIT_KBYTES))
        .with(READ_AHEAD, "128", Ways::Down(4))
        .with(REQUESTS, "256", Ways::Raises(4))
        .with(PIPE, "1048576", Ways::PowerOfTwo)
        .with(POLL, "0", Ways::Ignores)
        .with(PARTITION, "member", Ways::Partition { is_void: true })
        .with(
            THP,
            "madvise",
            Ways::Choice(&["always", "madvise", "never"], Some((MIN_FREE, 67584))),
        )
        .with(MIN_FREE, "45056", Ways::Honest(1 << 30))
        .with(SCHEDULER, "none", Ways::Choice(&["mq-deadline", "none"], None))
        .with(EXPIRE, "500", Ways::Within { other: SCHEDULER, word: "mq-deadline", default: "500" })
        .with(NMI, "0", Ways::Honest(1))
        .with(SOFT, "1", Ways::Honest(1))
        .with(WATCHDOG, "", Ways::Both(NMI, SOFT))
        .with(LATE, "3", Ways::FailsLate)
        .with(REFUSED, "3", Ways::Refuses)
        .with(LATCH, "0", Ways::Latch)
        .with(DROP, "", Ways::Action)
}

/// A step that is undone by writing the old value.
pub fn step(path: &str, new: &str, compare: Compare) -> Step {
    Step {
        setting: name(path),
        target: Target::file(path),
        old: None,
        new: new.to_owned(),
        compare,
        undo: Undo::default(),
        class: Class::Runtime,
        may_change_on_error: false,
        appears: false,
        effect: None,
        origin: Origin { profile: "test".into(), file: "test.ks".into(), line: 1 },
    }
}

fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

fn coupled(path: &str, compare: Compare) -> Coupled {
    Coupled { setting: name(path), target: Target::file(path), compare }
}

fn twin(mut step: Step, other: &str, nudge: &str) -> Step {
    let twin = coupled(other, Compare::Same);
    step.undo.how = How::Twin { twin, unset: "0".into(), nudge: Some(nudge.into()) };
    step
}

fn also(mut step: Step, others: &[(&str, Compare)]) -> Step {
    step.undo.also = others.iter().map(|(path, compare)| coupled(path, compare.clone())).collect();
    step
}

/// A step for one of the model's settings, with everything that the catalogue knows of it.
pub fn known(path: &str, new: &str) -> Step {
    let rounded = |rounding| Compare::Rounded(rounding);
    match path {
        RMEM => step(path, new, Compare::Blanks),
        DIRTY_BYTES => twin(step(path, new, Compare::Same), DIRTY_RATIO, "1"),
        DIRTY_RATIO => twin(step(path, new, Compare::Same), DIRTY_BYTES, "1073741824"),
        OVERCOMMIT_KBYTES => twin(step(path, new, Compare::Same), OVERCOMMIT_RATIO, "51"),
        OVERCOMMIT_RATIO => twin(step(path, new, Compare::Same), OVERCOMMIT_KBYTES, "1"),
        READ_AHEAD => step(path, new, rounded(Rounding::Any)),
        REQUESTS => step(path, new, rounded(Rounding::Between { least: 1, most: 1 << 20 })),
        PIPE => step(path, new, rounded(Rounding::OneOf(vec!["4096".into(), "65536".into()]))),
        POLL => step(path, new, Compare::Ignored),
        PARTITION => step(path, new, Compare::Annotated),
        THP => also(step(path, new, Compare::Bracketed), &[(MIN_FREE, Compare::Same)]),
        SCHEDULER => also(step(path, new, Compare::Bracketed), &[(EXPIRE, Compare::Same)]),
        EXPIRE => Step { appears: true, ..step(path, new, Compare::Same) },
        WATCHDOG => {
            also(step(path, new, Compare::Same), &[(NMI, Compare::Same), (SOFT, Compare::Same)])
        }
        NMI | SOFT => also(step(path, new, Compare::Same), &[(WATCHDOG, Compare::Same)]),
        LATCH => Step {
            class: Class::OneWay,
            undo: Undo { how: How::NextBoot, also: vec![] },
            ..step(path, new, Compare::Same)
        },
        DROP => Step {
            class: Class::Action,
            undo: Undo { how: How::Nothing, also: vec![] },
            ..step(path, new, Compare::WriteOnly)
        },
        _ => step(path, new, Compare::Same),
    }
}

/// A plan of these steps.
pub fn plan(steps: impl IntoIterator<Item = Step>) -> Plan {
    Plan { steps: steps.into_iter().collect(), ..Plan::new("test") }
}

/// A plan of 50 settings that succeeds on [`large_model`], with lies among them.
pub fn large_plan() -> Plan {
    let mut steps = vec![
        known(SCHEDULER, "mq-deadline"),
        known(EXPIRE, "100"),
        known(DIRTY_BYTES, "536870912"),
        known(OVERCOMMIT_KBYTES, "1000000"),
        known(THP, "always"),
        known(RMEM, "8192 131072 8388608"),
        known(READ_AHEAD, "3"),
        known(WATCHDOG, "0"),
        known(POLL, "1"),
        known(PIPE, "1"),
    ];
    steps.extend((steps.len()..50).map(|at| step(&plain(at), "7", Compare::Same)));
    plan(steps)
}

/// The model with enough settings for [`large_plan`].
pub fn large_model() -> Model {
    (0..50).fold(model(), |model, at| model.with(&plain(at), "3", Ways::Honest(100)))
}

fn plain(at: usize) -> String {
    format!("/proc/sys/net/core/plain_{at:02}")
}
