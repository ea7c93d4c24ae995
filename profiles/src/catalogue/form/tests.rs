use super::*;
use crate::catalogue::Catalogue;

fn kind(name: &str) -> &'static Kind {
    &Catalogue::built_in().unwrap().get(name).unwrap().kind
}

fn written(name: &str, value: Value) -> Result<String, String> {
    let kind = kind(name);
    let typed = kind.typed(&value).map_err(|error| error.to_string())?;
    Ok(kind.written(&typed))
}

#[test]
fn values_are_written_in_the_units_of_their_files() {
    let size = Value::bytes(512 << 20);
    assert_eq!(written("vm.dirty_bytes", size.clone()).unwrap(), "536870912");
    assert_eq!(written("vm.min_free_kbytes", size).unwrap(), "524288");
    let time = Value::Quantity(5_000_000_000, Dimension::Time);
    assert_eq!(written("vm.dirty_writeback_centisecs", time).unwrap(), "500");
    let share = Value::Quantity(200_000, Dimension::Share);
    assert_eq!(written("vm.dirty_ratio", share).unwrap(), "20");
    assert_eq!(written("kernel.timer_migration", Value::word("off")).unwrap(), "0");
    assert_eq!(written("mm.zswap", Value::Flag(true)).unwrap(), "Y");
    assert_eq!(written("block.scheduler", Value::word("none")).unwrap(), "none");
    let cpus = Value::Cpus([0, 1, 33].into_iter().collect());
    assert_eq!(written("workqueue.cpumask", cpus).unwrap(), "2,00000003");
    let list =
        Value::List(vec![Value::bytes(4096), Value::bytes(128 << 10), Value::bytes(16 << 20)]);
    assert_eq!(written("net.ipv4.tcp_rmem", list).unwrap(), "4096 131072 16777216");
}

#[test]
fn a_discipline_is_written_in_one_form() {
    let text = |text: &str| written("net.device.qdisc", Value::Text(text.to_owned()));
    assert_eq!(written("net.device.qdisc", Value::word("fq")).unwrap(), "fq");
    assert_eq!(text("fq maxrate 1Gbit/s limit 9").unwrap(), "fq limit 9 maxrate 1000000000bit");
    assert!(text("htb").unwrap_err().contains("`htb` cannot be set here; fq, fq_codel"));
    assert!(text("fq target 5ms").unwrap_err().contains("`fq` has nothing called `target`"));
}

#[test]
fn what_does_not_fit_is_told() {
    let told = |name, value| written(name, value).unwrap_err();
    let odd = told("vm.min_free_kbytes", Value::bytes(1500));
    assert!(odd.contains("not a whole number of KiB"), "{odd}");
    let time = Value::Quantity(1, Dimension::Time);
    assert!(told("vm.dirty_bytes", time).contains("takes a size"));
    assert!(told("vm.swappiness", Value::word("low")).contains("takes a whole number"));
    assert!(told("block.scheduler", Value::word("nine")).contains("no value `nine`"));
    let two = Value::List(vec![Value::bytes(1), Value::bytes(2)]);
    assert!(told("net.ipv4.tcp_rmem", two).contains("min, default, max"));
}

/// What is written reads back as what was meant, for the defaults of all entries.
#[test]
fn defaults_survive_the_way_there_and_back() {
    let (mut seen, mut lost) = (0, Vec::new());
    for setting in Catalogue::built_in().unwrap().settings() {
        for default in setting.default.iter().flat_map(|default| default.texts()) {
            let Some(value) = setting.kind.parsed(default) else {
                lost.push(format!("{}: `{default}` is not understood", setting.name));
                continue;
            };
            seen += 1;
            let again = setting.kind.typed(&value).map(|typed| setting.kind.written(&typed));
            let same = |text: &String| setting.kind.parsed(text).as_ref() == Some(&value);
            if !again.as_ref().is_ok_and(same) {
                lost.push(format!("{}: `{default}` became {again:?}", setting.name));
            }
        }
    }
    assert!(seen > 300, "{seen}");
    assert!(lost.is_empty(), "{lost:#?}");
}
