//! The queueing discipline of a device, as rtnetlink tells and changes it
//! (`include/uapi/linux/rtnetlink.h`, `net/sched/sch_api.c`).
//!
//! Only what can be put back exactly is changed. The kernel's own discipline (handle `0:`) comes back by
//! itself when the one in its place is taken away. One that somebody put there is made again with all its
//! parameters and its handle, so it must be of a known kind, with nothing in it that is unknown, and
//! without classes, filters and the like.

use super::attributes::{Received, u32_at};
use super::discipline::{self, Undecoded};
use super::{Attributes, Discipline, Malformed};

/// `RTM_NEWQDISC`, `RTM_DELQDISC`, `RTM_GETQDISC`, `RTM_NEWTFILTER`, `RTM_GETTFILTER`.
pub(crate) const NEW: u16 = 36;
pub(crate) const DELETE: u16 = 37;
pub(crate) const GET: u16 = 38;
pub(crate) const FILTER: u16 = 44;
pub(crate) const GET_FILTERS: u16 = 46;

/// `struct tcmsg`: in front of the attributes.
const HEADER: usize = 20;
const DEVICE_AT: usize = 4;
const HANDLE_AT: usize = 8;
const PARENT_AT: usize = 12;

/// `TC_H_ROOT`
const ROOT: u32 = u32::MAX;
/// `TC_H_INGRESS`, and `TC_H_CLSACT`, which is the same: what arrives.
const INGRESS: u32 = 0xffff_fff1;

const KIND: u16 = 1;
const STATISTICS: u16 = 7;
/// `TCA_STATS_RATE_EST` within: somebody has its rate estimated.
const ESTIMATE: u16 = 2;
const SIZE_TABLE: u16 = 8;
const INGRESS_BLOCK: u16 = 13;
const EGRESS_BLOCK: u16 = 14;

/// A discipline, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// 0 for the kernel's own.
    handle: u16,
    parent: u32,
    kind: String,
    options: Vec<u8>,
    /// What it has that cannot be put back.
    beyond: Option<&'static str>,
}

/// What is told of one discipline; none where it is of another device.
pub(crate) fn told(body: &[u8], device: u32) -> Result<Option<Told>, Malformed> {
    let (own, handle, parent) =
        (u32_at(body, DEVICE_AT)?, u32_at(body, HANDLE_AT)?, u32_at(body, PARENT_AT)?);
    if own != device || parent == INGRESS {
        return Ok(None);
    }
    let all = Received::of(body.get(HEADER..).ok_or(Malformed)?)?;
    let estimate = match all.nest(STATISTICS)? {
        Some(statistics) => statistics.bytes(ESTIMATE).is_some(),
        None => false,
    };
    let beyond = [
        (estimate, "an estimate of its rate"),
        (all.bytes(SIZE_TABLE).is_some(), "a table of sizes"),
        (
            all.bytes(INGRESS_BLOCK).or(all.bytes(EGRESS_BLOCK)).is_some(),
            "a shared block of filters",
        ),
    ];
    Ok(Some(Told {
        handle: (handle >> 16) as u16,
        parent,
        kind: all.text(KIND)?.ok_or(Malformed)?.to_owned(),
        options: all.bytes(discipline::OPTIONS).unwrap_or_default().to_vec(),
        beyond: beyond.into_iter().find_map(|(is, what)| is.then_some(what)),
    }))
}

/// The handle of the one at the root, where there is one.
pub(crate) fn root_handle(all: &[Told]) -> Option<u16> {
    all.iter().find(|one| one.parent == ROOT).map(|root| root.handle)
}

/// What a device reads, or why that could not be put back. `kind` is the kind by its link, for those
/// that are not told of.
pub(crate) fn reading(all: &[Told], has_filters: bool, kind: &str) -> Result<Discipline, String> {
    let Some(root) = all.iter().find(|one| one.parent == ROOT) else {
        // The discipline of a device that has never been up is not told of.
        return match kind {
            "noop" => Ok(Discipline {
                kind: kind.to_owned(),
                handle: Some(0),
                below: None,
                parameters: Vec::new(),
            }),
            _ => Err(not_kept(kind, "which the kernel says nothing more of")),
        };
    };
    if has_filters {
        return Err(not_kept(&root.kind, "with filters"));
    }
    if let Some(beyond) = root.beyond {
        return Err(not_kept(&root.kind, &format!("with {beyond}")));
    }
    let is_own = root.handle == 0;
    if !is_own && !super::KINDS.contains(&root.kind.as_str()) {
        return Err(not_kept(&root.kind, "which somebody set up with tc"));
    }
    let parameters = match discipline::decoded(&root.kind, &root.options) {
        Ok(parameters) => parameters,
        // What the kernel made it makes again, whatever that is.
        Err(_) if is_own => Vec::new(),
        Err(Undecoded::Unknown(number)) => {
            let what = format!("with a parameter that is not known here (attribute {number})");
            return Err(not_kept(&root.kind, &what));
        }
        Err(Undecoded::Malformed) => {
            return Err(not_kept(&root.kind, "whose parameters make no sense"));
        }
    };
    let below = below(root, all)?;
    Ok(Discipline { kind: root.kind.clone(), handle: Some(root.handle), below, parameters })
}

/// What lies below each of the root's queues, which must be the kernel's own.
fn below(root: &Told, all: &[Told]) -> Result<Option<String>, String> {
    let within = |one: &&Told| one.parent != ROOT && (one.parent >> 16) as u16 == root.handle;
    let children: Vec<&Told> = all.iter().filter(within).collect();
    if children.is_empty() {
        return Ok(None);
    }
    if root.kind != "mq" || children.iter().any(|one| one.handle != 0 || one.beyond.is_some()) {
        return Err(not_kept(&root.kind, "with others below it that somebody set up with tc"));
    }
    // Queues that were not in use when they got theirs have another kind than those that were.
    let mut kinds: Vec<&str> = children.iter().map(|one| one.kind.as_str()).collect();
    kinds.dedup();
    Ok(Some(kinds.join(",")))
}

/// Whether the kernel would put a device's own discipline there again, by what it gives devices now.
pub(crate) fn comes_back(reading: &str, default: &str) -> Result<(), String> {
    let Ok(present) = Discipline::parse(reading) else { return Ok(()) };
    let made = present.below.as_deref().unwrap_or(&present.kind);
    // Devices without a queue, and those that are down, get none of that.
    if !present.is_the_kernels_own() || matches!(made, "noqueue" | "noop" | "mq") || made == default
    {
        return Ok(());
    }
    let what = format!("which the kernel gave it, and net.core.default_qdisc is {default} by now");
    Err(not_kept(made, &what))
}

fn not_kept(kind: &str, what: &str) -> String {
    format!("its queueing discipline is {kind}, {what}: it could not be put back as it is")
}

/// One thing to do to a device's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Takes it away; the kernel puts its own there.
    Delete,
    /// Makes one, or changes the one that has this handle; 0 for any.
    Put { kind: String, handle: u16, options: Attributes },
}

/// What leads from what a device has to what is wanted.
pub(crate) fn moves(present: &Discipline, wanted: &Discipline) -> Vec<Move> {
    let put = |handle: u16, parameters: &[_]| Move::Put {
        kind: wanted.kind.clone(),
        handle,
        options: discipline::encoded(&wanted.kind, parameters),
    };
    let is_own = present.is_the_kernels_own();
    if wanted.is_the_kernels_own() {
        return match () {
            () if present == wanted => Vec::new(),
            () if !is_own => vec![Move::Delete],
            // It cannot be taken away before another is in its place.
            () => {
                let any = Move::Put {
                    kind: "pfifo".to_owned(),
                    handle: 0,
                    options: Attributes::default(),
                };
                vec![any, Move::Delete]
            }
        };
    }
    let is_same = !is_own
        && present.kind == wanted.kind
        && wanted.handle.is_none_or(|handle| present.handle == Some(handle));
    if !is_same {
        return vec![put(wanted.handle.unwrap_or_default(), &wanted.parameters)];
    }
    let handle = present.handle.unwrap_or_default();
    let of = |all: &Discipline, name| {
        all.parameters.iter().find(|(own, _)| own.name == name).map(|(_, amount)| amount.clone())
    };
    let differing: Vec<_> = wanted
        .parameters
        .iter()
        .filter(|(own, amount)| of(present, own.name).as_ref() != Some(amount))
        .cloned()
        .collect();
    // With a handle, a text says everything that there is to be.
    let says_all = wanted.handle.is_some();
    let is_too_much =
        says_all && present.parameters.iter().any(|(own, _)| of(wanted, own.name).is_none());
    let is_made_anew = is_too_much
        || says_all && present.below != wanted.below
        || differing.iter().any(|(own, _)| own.at_birth);
    match (is_made_anew, differing.is_empty()) {
        (false, true) => Vec::new(),
        (false, false) => vec![put(handle, &differing)],
        (true, _) => {
            let mut all = wanted.parameters.clone();
            if !says_all {
                let mut kept = present.parameters.clone();
                kept.retain(|(own, _)| of(wanted, own.name).is_none());
                all.extend(kept);
            }
            vec![Move::Delete, put(handle, &all)]
        }
    }
}

/// Asks for the disciplines of all devices, or does something to the root of one: the message's body.
pub(crate) fn about(device: u32) -> Vec<u8> {
    body(device, 0, 0, Attributes::default())
}

/// Asks for the filters of a root.
pub(crate) fn filters(device: u32, handle: u16) -> Vec<u8> {
    body(device, 0, u32::from(handle) << 16, Attributes::default())
}

/// Takes the root away.
pub(crate) fn delete(device: u32) -> Vec<u8> {
    body(device, 0, ROOT, Attributes::default())
}

/// Puts one at the root.
pub(crate) fn put(device: u32, kind: &str, handle: u16, options: Attributes) -> Vec<u8> {
    let mut body =
        body(device, u32::from(handle) << 16, ROOT, Attributes::default().text(KIND, kind));
    body.extend(options.into_bytes());
    body
}

fn body(device: u32, handle: u32, parent: u32, attributes: Attributes) -> Vec<u8> {
    let mut body = vec![0; 4];
    for number in [device, handle, parent, 0] {
        body.extend(number.to_ne_bytes());
    }
    body.extend(attributes.into_bytes());
    body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Discipline {
        Discipline::parse(text).unwrap()
    }

    fn one(handle: u16, parent: u32, text: &str) -> Told {
        let discipline = of(&format!("{text} handle 0:"));
        let options = discipline::encoded(&discipline.kind, &discipline.parameters).into_bytes();
        let options = Received::of(&options).unwrap();
        let options = options.bytes(discipline::OPTIONS).unwrap_or_default().to_vec();
        Told { handle, parent, kind: discipline.kind, options, beyond: None }
    }

    fn read(all: &[Told]) -> String {
        reading(all, false, "").map_or_else(|why| why, |discipline| discipline.to_string())
    }

    #[test]
    fn what_can_be_put_back_is_read() {
        assert_eq!(read(&[one(0, ROOT, "fq limit 5")]), "fq handle 0: limit 5");
        assert_eq!(read(&[one(0x8001, ROOT, "pfifo limit 9")]), "pfifo handle 8001: limit 9");
        assert_eq!(read(&[one(0, ROOT, "sfq")]), "sfq handle 0:");
        assert_eq!(
            read(&[one(0, ROOT, "mq"), one(0, 1, "fq"), one(0, 2, "fq")]),
            "mq handle 0: below fq"
        );
        assert_eq!(read(&[one(1, ROOT, "mq"), one(0, 0x1_0001, "fq")]), "mq handle 1: below fq");
        let unlike = [one(0, ROOT, "mq"), one(0, 1, "fq"), one(0, 2, "pfifo"), one(0, 3, "pfifo")];
        assert_eq!(read(&unlike), "mq handle 0: below fq,pfifo");
        assert_eq!(reading(&[], false, "noop").unwrap().to_string(), "noop handle 0:");
    }

    #[test]
    fn what_cannot_be_put_back_is_told() {
        let refused = |all: &[Told], filters| reading(all, filters, "?").unwrap_err();
        assert!(refused(&[one(1, ROOT, "htb")], false).contains("is htb, which somebody set up"));
        assert!(refused(&[one(0, ROOT, "fq")], true).contains("with filters"));
        let children = [one(1, ROOT, "mq"), one(0x8002, 0x1_0001, "fq")];
        assert!(refused(&children, false).contains("below it"));
        let table = Told { beyond: Some("a table of sizes"), ..one(0, ROOT, "fq") };
        assert!(refused(&[table], false).contains("a table of sizes"));
        let mut strange = one(1, ROOT, "fq");
        strange.options = Attributes::default().u32(77, 1).into_bytes();
        assert!(refused(&[strange.clone()], false).contains("attribute 77"));
        strange.handle = 0;
        assert_eq!(read(&[strange]), "fq handle 0:");
        assert!(refused(&[], false).contains("nothing more"));
    }

    #[test]
    fn only_what_the_kernel_still_makes_comes_back() {
        for text in [
            "fq handle 0: limit 5",
            "mq handle 0: below fq",
            "noqueue handle 0:",
            "sfq",
            "pfifo handle 1:",
        ] {
            assert_eq!(comes_back(text, "fq"), Ok(()), "{text}");
        }
        for text in
            ["fq_codel handle 0:", "mq handle 0: below fq_codel", "mq handle 0: below fq_codel,fq"]
        {
            let why = comes_back(text, "fq").unwrap_err();
            assert!(
                why.contains("is fq_codel") && why.contains("which the kernel gave it"),
                "{why}"
            );
        }
    }

    #[test]
    fn the_way_is_as_short_as_it_can_be() {
        let kinds = |present: &str, wanted: &str| -> Vec<String> {
            let told = |step: &Move| match step {
                Move::Delete => "delete".to_owned(),
                Move::Put { kind, handle, options } => {
                    format!("{kind} {handle:x} {}", options.clone().into_bytes().len())
                }
            };
            moves(&of(present), &of(wanted)).iter().map(told).collect()
        };
        // The kernel's own comes by itself, once there is something else to take away.
        assert_eq!(kinds("fq handle 0: limit 5", "fq handle 0: limit 5"), [""; 0]);
        assert_eq!(kinds("fq handle 8001:", "fq_codel handle 0:"), ["delete"]);
        assert_eq!(kinds("fq handle 0:", "fq_codel handle 0:"), ["pfifo 0 0", "delete"]);
        // Another kind replaces it.
        assert_eq!(kinds("fq_codel handle 0:", "fq limit 5"), ["fq 0 12"]);
        assert_eq!(kinds("fq handle 0:", "fq"), ["fq 0 0"]);
        let (mixed, whole) = ("mq handle 0: below fq,pfifo", "mq handle 0: below fq");
        assert_eq!(kinds(mixed, whole), ["pfifo 0 0", "delete"]);
        assert_eq!(kinds("fq handle 8001:", "pfifo handle 8002: limit 5"), ["pfifo 8002 8"]);
        // Of the same, only what differs is sent.
        assert_eq!(kinds("fq handle 8001: limit 5 quantum 9", "fq limit 5"), [""; 0]);
        assert_eq!(
            kinds("fq handle 8001: limit 5 quantum 9", "fq limit 6 quantum 9"),
            ["fq 8001 12"]
        );
        // What cannot be changed or taken back is made anew, with all else that it had.
        assert_eq!(
            kinds("fq_codel handle 1: limit 5 flows 8", "fq_codel flows 16"),
            ["delete", "fq_codel 1 20"]
        );
        assert_eq!(
            kinds("fq_codel handle 1: limit 5 ce_threshold 1ms", "fq_codel handle 1: limit 5"),
            ["delete", "fq_codel 1 12"]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some(told)) = told(&bytes, 0) {
                let _ = reading(&[told], false, "");
            }
        }
    }
}
