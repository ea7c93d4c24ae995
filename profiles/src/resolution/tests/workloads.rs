//! What becomes of workloads.

use transaction::assign::{By, Scheduler};

use super::*;

/// The workloads of a script's last profile on a kernel, and what is wrong.
fn workloads(text: &str) -> (Vec<transaction::assign::Workload>, Vec<String>) {
    let mut library = Library::default();
    let mut diagnostics = Vec::new();
    let read = Script::read(FileId::default(), text);
    assert!(read.is_ok(), "{:?}", read.diagnostics);
    library.add(read.script, &mut diagnostics);
    let facts = facts("6.12", Flavour::Generic).with_cpus(8).with_memory(1 << 30);
    let resolution = resolve(&Request {
        library: &library,
        profile: "p",
        arguments: &Arguments::new(),
        facts: &facts,
        present: &Present::default(),
        catalogue: Catalogue::built_in().unwrap(),
    })
    .unwrap();
    let told = resolution.diagnostics.iter().map(|it| it.message.clone()).collect();
    (resolution.workloads, told)
}

#[test]
fn a_workload_is_worked_out() {
    let (all, told) = workloads(
        r#"profile base { workload db { nice = 5; oom_score_adjust = -100 } }
           profile p extends base {
               workload db {
                   match exec "postgres", "pg_*"
                   match unit "postgresql.service"
                   cpus = cpus - 0-1
                   sched = batch nice 3
                   io = best-effort 2
                   memory { high = 50%; max = 768MiB }
               }
           }"#,
    );
    assert_eq!(told, [""; 0]);
    let [db] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(db.matches.len(), 2);
    assert_eq!((db.matches[0].by, db.matches[1].by), (By::Exec, By::Unit));
    assert_eq!(db.wishes.cpus.as_deref(), Some("2-7"));
    assert_eq!(db.wishes.scheduler, Some(Scheduler { policy: 3, priority: 0 }));
    assert_eq!(db.wishes.oom_score_adjust, Some(-100), "the parent's");
    assert_eq!(db.wishes.io_priority, Some(2 << 13 | 2));
    let limits: Vec<(&str, &str)> =
        db.limits.iter().map(|(file, value)| (file.as_str(), value.as_str())).collect();
    assert_eq!(limits, [("memory.high", "536870912"), ("memory.max", "805306368")]);
}

#[test]
fn what_a_workload_cannot_have_is_told() {
    let told = |body: &str| {
        let (_, told) = workloads(&format!("profile p {{ workload w {{ {body} }} }}"));
        assert_eq!(told.len(), 1, "{body}: {told:?}");
        told.into_iter().next().unwrap()
    };
    assert!(told("sched = fifo 10").contains("takes a guard"));
    assert!(told("sched = fast").contains("`sched` takes"));
    assert!(told("sched = fifo 99").contains("from 1 to 49"));
    assert!(told("oom_score_adjust = -1000").contains("from -999"));
    assert!(told("memory { hihg = 1GiB }").contains("did you mean `memory.high`?"));
    assert!(told("io = best-effort 9").contains("level from 0 to 7"));
    assert!(told("huge_pages = always").contains("takes `collapse`"));
    assert!(told("start [\"postgres\"]").contains("cluster file"));
    let (_, guarded) =
        workloads("profile p { workload w { sched = fifo 10 } } guard p { confirm within 9s }");
    assert_eq!(guarded, [""; 0]);
}
