//! A discipline's parameters as the kernel takes and tells them.

use super::amount::Amount;
use super::kinds::{Parameter, parameters};
use crate::network::attributes::{Received, u32_at};
use crate::network::{Attributes, Malformed};

/// Why a discipline's parameters are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// An answer that is none.
    Malformed,
    /// Something that this program does not know, by its number.
    Unknown(u16),
}

impl From<Malformed> for Undecoded {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// `TCA_OPTIONS`
pub(crate) const OPTIONS: u16 = 2;
/// `TCA_CAKE_PAD`: nothing.
const CAKE_PADDING: u16 = 1;

fn is_fifo(kind: &str) -> bool {
    matches!(kind, "pfifo" | "bfifo")
}

/// The attributes that set these.
pub(crate) fn encoded(kind: &str, values: &[(&'static Parameter, Amount)]) -> Attributes {
    let all = Attributes::default();
    match values {
        [] => all,
        [(parameter, amount), ..] if is_fifo(kind) => {
            all.bytes(OPTIONS, &parameter.form.encoded(amount))
        }
        values => {
            let within =
                values.iter().fold(Attributes::default(), |within, (parameter, amount)| {
                    within.bytes(parameter.attribute, &parameter.form.encoded(amount))
                });
            all.nest(OPTIONS, within)
        }
    }
}

/// What a kind's options say, in the order of its table.
pub(crate) fn decoded(
    kind: &str,
    options: &[u8],
) -> Result<Vec<(&'static Parameter, Amount)>, Undecoded> {
    let table = parameters(kind);
    if let (true, [limit]) = (is_fifo(kind), table) {
        return Ok(vec![(limit, Amount::Number(u32_at(options, 0)?.into()))]);
    }
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Vec::new();
    let received = Received::of(options)?;
    for (attribute, _) in received.all() {
        let is_padding = kind == "cake" && attribute == CAKE_PADDING;
        if !is_padding && !table.iter().any(|own| own.attribute == attribute) {
            return Err(Undecoded::Unknown(attribute));
        }
    }
    for parameter in table {
        if let Some(bytes) = received.bytes(parameter.attribute) {
            values.push((parameter, parameter.form.decoded(bytes).ok_or(Undecoded::Malformed)?));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Discipline, KINDS};
    use super::*;

    fn options_of(attributes: Attributes) -> Vec<u8> {
        let bytes = attributes.into_bytes();
        Received::of(&bytes).unwrap().bytes(OPTIONS).unwrap().to_vec()
    }

    #[test]
    fn what_is_set_is_told() {
        for text in [
            "fq limit 20000 pacing off maxrate 800bit horizon_drop on priomap 0x03000000",
            "fq_codel limit 99 ecn on flows 1024",
            "cake bandwidth 100000000bit overhead -4 rtt 50000us",
            "pfifo limit 1000",
        ] {
            let discipline = Discipline::parse(text).unwrap();
            let options = options_of(encoded(&discipline.kind, &discipline.parameters));
            assert_eq!(
                decoded(&discipline.kind, &options).unwrap(),
                discipline.parameters,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_unknown_is_told() {
        let options = Attributes::default().u32(1, 9).u32(99, 1).into_bytes();
        assert_eq!(decoded("fq", &options), Err(Undecoded::Unknown(99)));
        assert_eq!(decoded("fq", &[8, 0, 1, 0, 1]), Err(Undecoded::Malformed));
        assert_eq!(decoded("fq", &[6, 0, 1, 0, 1, 2]), Err(Undecoded::Malformed));
        assert_eq!(decoded("pfifo", &[1, 2]), Err(Undecoded::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            kind in proptest::sample::select(KINDS),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = decoded(kind, &bytes);
        }
    }
}
