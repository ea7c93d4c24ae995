//! `exec`: the connection is upgraded, and its bytes go to the keeper and back. Nothing is read here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use super::unknown;
use crate::api::{FRAMES, Phase, Problem, ProblemKind};
use crate::keeper;
use crate::supervisor::watcher::connect;
use crate::supervisor::{Supervisor, failed, problem};

/// Passes an `exec` client through to the keeper of its partition.
pub async fn exec(
    State(supervisor): State<Arc<Supervisor>>,
    Path(name): Path<String>,
    mut request: Request,
) -> Result<Response, Problem> {
    let phase = supervisor.kept().get(&name).map(|kept| kept.report.phase);
    match phase.ok_or_else(|| unknown(&name))? {
        Phase::Ready | Phase::Silent => {}
        phase => {
            let message = format!("{name} is not ready ({phase:?})").to_lowercase();
            let hint = format!("partitiond wait {name} --for=ready");
            return Err(problem(ProblemKind::Refused, message, Some(hint)));
        }
    }
    if request.headers().get(UPGRADE).is_none_or(|value| value != FRAMES) {
        let message = format!("exec needs `Upgrade: {FRAMES}`");
        return Err(problem(ProblemKind::Invalid, message, None));
    }
    let lost =
        || problem(ProblemKind::Failed, format!("the keeper of {name} does not answer"), None);
    let dir = supervisor.paths.partition(&name);
    let mut keeper = connect(&dir, Duration::from_secs(1)).await.ok_or_else(lost)?;
    let mut line = serde_json::to_vec(&keeper::Request::Exec).map_err(|error| failed(&error))?;
    line.push(b'\n');
    keeper.write_all(&line).await.map_err(|error| failed(&error))?;

    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(client) = upgrade.await {
            splice(TokioIo::new(client), keeper).await;
        }
    });
    let headers = [
        (UPGRADE, HeaderValue::from_static(FRAMES)),
        (CONNECTION, HeaderValue::from_static("upgrade")),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// Carries bytes both ways until the keeper has nothing more to say. That nothing more can be sent
/// to it is no reason to stop: what it said last may still be on its way.
async fn splice(client: impl AsyncRead + AsyncWrite, keeper: UnixStream) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_keeper, mut to_keeper) = keeper.into_split();
    let there = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_keeper).await;
        // The client is gone, or has been told all.
        let _ = to_keeper.shutdown().await;
    };
    let back = async {
        let _ = tokio::io::copy(&mut from_keeper, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::pin!(there, back);
    tokio::select! {
        () = &mut back => {}
        () = &mut there => back.await,
    }
}
