//! Finds the supervisor that a command speaks to: on this machine or in a rig, started where that is
//! wanted and it is not there.

use std::path::Path;
use std::rc::Rc;

use super::exit::{Failure, REFUSED};
use super::{Context, rig, serve};
use crate::api::SOCKET;
use crate::client::{Client, LocalSocket, RigSocket};
use crate::paths::Paths;

/// The supervisor, where one answers.
pub fn existing(context: &Context) -> Result<Client, Failure> {
    match &context.global().rig {
        Some(name) => {
            let rig = Rc::new(::rig::Rig::attach(name).map_err(|error| {
                Failure::from(error).hint(format!("`partitiond up --rig={name} FILE` starts it"))
            })?);
            in_rig(rig)
        }
        None => local(context),
    }
}

/// The supervisor; one is started where none answers. A socket that was named is taken as it is:
/// whoever answers there, or is to answer, is somebody else's business.
pub fn started(context: &Context) -> Result<Client, Failure> {
    match &context.global().rig {
        Some(name) => {
            let rig = Rc::new(::rig::Rig::attach(name)?);
            rig::supervise(&rig)?;
            in_rig(rig)
        }
        None => {
            let client = local(context)?;
            match client.version() {
                Ok(_) => {}
                Err(error) if error.is_not_running() && context.global().socket.is_none() => {
                    if !nix::unistd::geteuid().is_root() {
                        let what = format!(
                            "{error}, and only root can start one that divides this machine"
                        );
                        return Err(Failure::with_status(REFUSED, what).hint(
                            "run with sudo; or add --rig to try it in a virtual server, which needs no rights",
                        ));
                    }
                    context.remark("starting the supervisor");
                    serve::start(&Paths::default())?;
                }
                Err(error) => return Err(error.into()),
            }
            Ok(client)
        }
    }
}

/// The supervisor inside a rig.
pub fn in_rig(rig: Rc<::rig::Rig>) -> Result<Client, Failure> {
    Ok(Client::new(Box::new(RigSocket::new(rig, Path::new(SOCKET))))?)
}

fn local(context: &Context) -> Result<Client, Failure> {
    Ok(Client::new(Box::new(LocalSocket(context.socket())))?)
}
