//! The kinds of queueing disciplines that can be set and put back, and what they have
//! (`include/uapi/linux/pkt_sched.h`, `net/sched/sch_*.c`).

use super::amount::Form;

/// Something that a kind has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// As `tc` calls it, mostly.
    pub name: &'static str,
    /// Its attribute.
    pub attribute: u16,
    pub form: Form,
    /// Whether it is taken only when the discipline is made.
    pub at_birth: bool,
}

/// All kinds that can be set.
pub const KINDS: &[&str] =
    &["fq", "fq_codel", "codel", "cake", "pfifo", "bfifo", "pfifo_fast", "mq", "noqueue"];

const fn of(name: &'static str, attribute: u16, form: Form) -> Parameter {
    Parameter { name, attribute, form, at_birth: false }
}

static FQ: [Parameter; 17] = [
    of("limit", 1, Form::Number),
    of("flow_limit", 2, Form::Number),
    of("quantum", 3, Form::Number),
    of("initial_quantum", 4, Form::Number),
    of("pacing", 5, Form::Flag),
    of("maxrate", 7, Form::Rate32),
    of("buckets_log", 8, Form::Number),
    of("refill_delay", 9, Form::Microseconds),
    of("orphan_mask", 10, Form::Number),
    of("low_rate_threshold", 11, Form::Rate32),
    of("ce_threshold", 12, Form::Microseconds),
    of("timer_slack", 13, Form::Nanoseconds),
    of("horizon", 14, Form::Microseconds),
    of("horizon_drop", 15, Form::FlagByte),
    of("priomap", 16, Form::Bytes),
    of("weights", 17, Form::Bytes),
    of("offload_horizon", 18, Form::Microseconds),
];

static FQ_CODEL: [Parameter; 11] = [
    of("target", 1, Form::CodelTime),
    of("limit", 2, Form::Number),
    of("interval", 3, Form::CodelTime),
    of("ecn", 4, Form::Flag),
    Parameter { name: "flows", attribute: 5, form: Form::Number, at_birth: true },
    of("quantum", 6, Form::Number),
    of("ce_threshold", 7, Form::CodelTime),
    of("drop_batch", 8, Form::Number),
    of("memory_limit", 9, Form::Number),
    of("ce_threshold_selector", 10, Form::Byte),
    of("ce_threshold_mask", 11, Form::Byte),
];

static CODEL: [Parameter; 5] = [
    of("target", 1, Form::CodelTime),
    of("limit", 2, Form::Number),
    of("interval", 3, Form::CodelTime),
    of("ecn", 4, Form::Flag),
    of("ce_threshold", 5, Form::CodelTime),
];

/// Choices among several go by the numbers of `pkt_sched.h`: `diffserv 0` is diffserv3, `flows 7` triple
/// isolation.
static CAKE: [Parameter; 17] = [
    of("bandwidth", 2, Form::Rate64),
    of("diffserv", 3, Form::Number),
    of("atm", 4, Form::Number),
    of("flows", 5, Form::Number),
    of("overhead", 6, Form::Signed),
    of("rtt", 7, Form::Microseconds),
    of("target", 8, Form::Microseconds),
    of("autorate", 9, Form::Flag),
    of("memory", 10, Form::Number),
    of("nat", 11, Form::Flag),
    // That it is there says that packets count with what the kernel makes of them. It undoes `overhead`.
    of("raw", 12, Form::Number),
    of("wash", 13, Form::Flag),
    of("mpu", 14, Form::Number),
    of("ingress", 15, Form::Flag),
    of("ack_filter", 16, Form::Number),
    of("split_gso", 17, Form::Flag),
    of("fwmark", 18, Form::Number),
];

/// Not in an attribute of its own: the options are `struct tc_fifo_qopt`.
static FIFO: [Parameter; 1] = [of("limit", 0, Form::Number)];

/// What a kind has.
pub(crate) fn parameters(kind: &str) -> &'static [Parameter] {
    match kind {
        "fq" => &FQ,
        "fq_codel" => &FQ_CODEL,
        "codel" => &CODEL,
        "cake" => &CAKE,
        "pfifo" | "bfifo" => &FIFO,
        _ => &[],
    }
}
