//! Settings of this kernel's network devices, over netlink.

use super::netlink::{Message, NoAnswer, Socket, To};
use crate::network::message::Request;
use crate::network::queueing::{self, Move, Told};
use crate::network::{
    Attributes, Discipline, Malformed, Meant, ethtool, features, is_device, is_known, link,
};
use crate::plan::Target;
use crate::store::{Store, StoreError};

/// `ENODEV`, `ENOENT`, `EOPNOTSUPP`.
const NO_DEVICE: i32 = 19;
const NO_ENTRY: i32 = 2;
const NOT_SUPPORTED: i32 = 95;

/// The devices of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Network {
    route: Socket,
    ethtool: Result<Ethtool, StoreError>,
}

#[derive(Debug)]
struct Ethtool {
    socket: Socket,
    family: u16,
}

impl Network {
    /// Opens its sockets; whatever it does later needs no more than to read and write them.
    ///
    /// # Errors
    /// Where this kernel gives no such sockets. That it has no ethtool is said where one asks for it.
    pub fn open() -> Result<Self, StoreError> {
        Ok(Self { route: Socket::open(To::Route)?, ethtool: Ethtool::open() })
    }

    /// Whether a driver has a way to set what it tells. Nothing is changed by asking: the kernel looks for
    /// that way before it looks at what is to be set, and nothing is.
    pub(super) fn can_be_changed(&mut self, target: &Target) -> Result<(), StoreError> {
        let (device, meant) = meant(target)?;
        let Meant::Number(number) = meant else { return Ok(()) };
        let what = attribute(target);
        match self.ethtool()?.set(number.set, device, what, Attributes::default()) {
            Err(StoreError::Unsupported(_)) => Err(StoreError::Unsupported(format!(
                "the driver of {device} tells {what}, and lets nobody change it"
            ))),
            // Whoever may not change anything may still make a plan.
            _ => Ok(()),
        }
    }

    fn link(&mut self, device: &str) -> Result<link::Link, StoreError> {
        let answer = self.route.ask(&Request::one(link::GET, link::named(device)));
        let answer = answer.map_err(|error| refused(error, "the network device", device))?;
        Ok(link::read(&one(answer)?)?)
    }

    fn disciplines(&mut self, device: u32) -> Result<Vec<Told>, NoAnswer> {
        let answer = self.route.ask(&Request::all(queueing::GET, queueing::about(device)))?;
        let told = answer
            .iter()
            .filter(|(kind, _)| *kind == queueing::NEW)
            .map(|(_, body)| queueing::told(body, device));
        Ok(told.filter_map(Result::transpose).collect::<Result<_, _>>()?)
    }

    fn has_filters(&mut self, device: u32, handle: u16) -> Result<bool, NoAnswer> {
        let request = Request::all(queueing::GET_FILTERS, queueing::filters(device, handle));
        match self.route.ask(&request) {
            Ok(answer) => Ok(answer.iter().any(|(kind, _)| *kind == queueing::FILTER)),
            // A kernel without filters.
            Err(NoAnswer::Refused(NOT_SUPPORTED, _)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The device's number and its discipline.
    fn discipline(&mut self, device: &str) -> Result<(u32, Discipline), StoreError> {
        let link = self.link(device)?;
        let all = self.disciplines(link.number).map_err(|error| refused(error, "tc", device))?;
        let has_filters = match queueing::root_handle(&all) {
            Some(handle) => self
                .has_filters(link.number, handle)
                .map_err(|error| refused(error, "tc filter", device))?,
            None => false,
        };
        let discipline = queueing::reading(&all, has_filters, &link.qdisc);
        Ok((link.number, discipline.map_err(StoreError::Unsupported)?))
    }

    fn set_discipline(&mut self, device: &str, wanted: &str) -> Result<(), StoreError> {
        let wanted = Discipline::parse(wanted)
            .map_err(|error| StoreError::Unsupported(error.to_string()))?;
        let (number, present) = self.discipline(device)?;
        for step in queueing::moves(&present, &wanted) {
            let request = match step {
                Move::Delete => Request::one(queueing::DELETE, queueing::delete(number)),
                Move::Put { kind, handle, options } => {
                    Request::put(queueing::NEW, queueing::put(number, &kind, handle, options))
                }
            };
            self.route.ask(&request).map_err(|error| match error {
                NoAnswer::Refused(NO_ENTRY, words) => {
                    let missing = format!("{words} (is the module sch_{} there?)", wanted.kind());
                    StoreError::Said(NO_ENTRY, missing)
                }
                error => refused(error, "the queueing discipline", device),
            })?;
        }
        Ok(())
    }

    fn ethtool(&mut self) -> Result<&mut Ethtool, StoreError> {
        self.ethtool.as_mut().map_err(|error| error.clone())
    }
}

impl Ethtool {
    fn open() -> Result<Self, StoreError> {
        let mut socket = Socket::open(To::Generic)?;
        let (kind, body) = ethtool::family("ethtool");
        match socket.ask(&Request::one(kind, body)) {
            Ok(answer) => Ok(Self { socket, family: ethtool::family_number(&one(answer)?)? }),
            Err(NoAnswer::Refused(NO_ENTRY, _)) => Err(StoreError::Unsupported(
                "this kernel has no ethtool over netlink (CONFIG_ETHTOOL_NETLINK)".to_owned(),
            )),
            Err(error) => Err(refused(error, "ethtool", "")),
        }
    }

    fn get(&mut self, command: u8, device: &str, what: &str) -> Result<Vec<u8>, StoreError> {
        let request = Request::one(self.family, ethtool::get(command, device));
        one(self.socket.ask(&request).map_err(|error| refused(error, what, device))?)
    }

    fn set(
        &mut self,
        command: u8,
        device: &str,
        what: &str,
        attributes: Attributes,
    ) -> Result<(), StoreError> {
        let request = Request::one(self.family, ethtool::set(command, device, attributes));
        self.socket.ask(&request).map(drop).map_err(|error| refused(error, what, device))
    }

    fn number(
        &mut self,
        number: ethtool::Number,
        device: &str,
        what: &str,
    ) -> Result<String, StoreError> {
        let body = self.get(number.get, device, what)?;
        number.read(&body)?.ok_or_else(|| lacks(device, what))
    }

    fn feature(&mut self, device: &str, name: &str) -> Result<String, StoreError> {
        let body = self.get(features::GET, device, name)?;
        match features::read(&body, name)? {
            features::Feature::Reads(text) => Ok(text),
            features::Feature::Unknown => Err(StoreError::Unsupported(format!(
                "this kernel knows no feature {name} of network devices"
            ))),
            features::Feature::Fixed(on) => Err(StoreError::Unsupported(format!(
                "the driver of {device} keeps {name} {}, and lets nobody change that",
                if on { "on" } else { "off" }
            ))),
        }
    }
}

impl Store for Network {
    fn reaches(&self, target: &Target) -> bool {
        is_known(target)
    }

    fn read(&mut self, target: &Target) -> Result<String, StoreError> {
        let (device, meant) = meant(target)?;
        match meant {
            Meant::Mtu => Ok(self.link(device)?.mtu.to_string()),
            Meant::Qdisc => Ok(self.discipline(device)?.1.to_string()),
            Meant::Feature(name) => self.ethtool()?.feature(device, name),
            Meant::Number(number) => self.ethtool()?.number(number, device, attribute(target)),
        }
    }

    fn write(&mut self, target: &Target, value: &str) -> Result<(), StoreError> {
        let (device, meant) = meant(target)?;
        let no_value = || StoreError::Unsupported(format!("`{value}` is no value of {target}"));
        match meant {
            Meant::Mtu => {
                let body = link::mtu(device, value).ok_or_else(no_value)?;
                let answer = self.route.ask(&Request::one(link::SET, body));
                answer.map(drop).map_err(|error| refused(error, "the MTU", device))
            }
            Meant::Qdisc => self.set_discipline(device, value),
            Meant::Feature(name) => {
                let attributes = features::wanted(name, value).ok_or_else(no_value)?;
                self.ethtool()?.set(features::SET, device, name, attributes)
            }
            Meant::Number(number) => {
                let attributes = number.attribute(value).ok_or_else(no_value)?;
                self.ethtool()?.set(number.set, device, attribute(target), attributes)
            }
        }
    }
}

fn meant(target: &Target) -> Result<(&str, Meant<'_>), StoreError> {
    Meant::by(target).filter(|(device, _)| is_device(device)).ok_or(StoreError::OutOfReach)
}

fn attribute(target: &Target) -> &str {
    match target {
        Target::Ethtool { attribute, .. } | Target::Link { attribute, .. } => attribute,
        _ => "",
    }
}

/// The one message of an answer.
fn one(answer: Vec<Message>) -> Result<Vec<u8>, StoreError> {
    answer.into_iter().next().map(|(_, body)| body).ok_or_else(|| Malformed.into())
}

fn lacks(device: &str, what: &str) -> StoreError {
    StoreError::Unsupported(format!("the driver of {device} has no {what}"))
}

fn refused(error: NoAnswer, what: &str, device: &str) -> StoreError {
    match error {
        NoAnswer::Refused(NO_DEVICE, _) => StoreError::Absent,
        NoAnswer::Refused(NOT_SUPPORTED, words) if words.is_empty() => lacks(device, what),
        NoAnswer::Refused(number, words) if words.is_empty() => StoreError::Kernel(number),
        NoAnswer::Refused(number, words) => StoreError::Said(number, words),
        NoAnswer::Socket(error) => StoreError::Netlink(error.to_string()),
    }
}

impl From<Malformed> for StoreError {
    fn from(_: Malformed) -> Self {
        Self::Netlink("its answer makes no sense".to_owned())
    }
}
