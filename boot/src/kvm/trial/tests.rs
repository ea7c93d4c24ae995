use std::path::Path;
use std::time::Instant;

use super::*;

#[test]
fn what_is_no_kvm_is_told() {
    let none = try_kvm(Path::new("/nonexistent/kvm"));
    assert!(matches!(none, Err(Unusable::Open { .. })), "{none:?}");
    let other = try_kvm(Path::new("/dev/null"));
    assert!(matches!(other, Err(Unusable::Version(-1))), "{other:?}");
}

/// A program that never ends does not keep whoever tries it.
#[test]
fn time_is_bounded() {
    let begun = Instant::now();
    let slow = within(Duration::from_millis(20), |over| {
        while !over.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    assert!(matches!(slow, Err(Unusable::Slow(_))), "{slow:?}");
    assert!(begun.elapsed() < STOPPING);
}

/// What `/dev/kvm` here is, tried for real: one with hardware behind it works, one without is found out.
#[test]
fn a_kvm_works_where_there_is_hardware_for_it() {
    let path = Path::new("/dev/kvm");
    if !path.exists() {
        eprintln!("SKIP a_kvm_works_where_there_is_hardware_for_it: this machine has no /dev/kvm");
        return;
    }
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let hardware = cpus.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    let begun = Instant::now();
    let tried = try_kvm(path);
    eprintln!("{:?} in {:?}", tried.as_ref().map_err(ToString::to_string), begun.elapsed());
    match hardware {
        true => assert!(tried.is_ok(), "{tried:?}"),
        false => assert!(matches!(tried, Err(Unusable::Pretends(_))), "{tried:?}"),
    }
}
