//! The API: HTTP with JSON on a unix socket. What each request means stands in [`crate::api`].

mod blobs;
mod exec;
mod streams;

use std::future::Future;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use tokio::net::UnixListener;
use transaction::agent::{Answer, Question};
use transaction::engine::Report;

use super::{Supervisor, failed, problem};
use crate::api::{
    DownRequest, MAX_REQUEST, MachineReport, PartitionStatus, PlanAnswer, Problem, ProblemKind,
    SnapshotRequest, StoredImage, UpRequest, Version, printable,
};
use crate::doctor;
use crate::tuning::Errand;

type Shared = State<Arc<Supervisor>>;

/// Serves the API until `stopped`.
pub async fn serve(
    listener: UnixListener,
    supervisor: Arc<Supervisor>,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let routes = Router::new()
        .route("/v1/version", get(version))
        .route("/v1/machine", get(machine))
        .route("/v1/plan", post(plan))
        .route("/v1/up", post(up))
        .route("/v1/down", post(down))
        .route("/v1/partitions", get(partitions))
        .route("/v1/partitions/{name}", get(partition))
        .route("/v1/partitions/{name}/log", get(log))
        .route("/v1/partitions/{name}/exec", post(exec::exec))
        .route("/v1/partitions/{name}/kernel", post(kernel))
        .route("/v1/partitions/{name}/profile", post(profile))
        .route("/v1/partitions/{name}/snapshot", post(snapshot))
        .route("/v1/events", get(events))
        .route("/v1/images", get(images))
        .route("/v1/images/{name}", put(blobs::put_image).delete(blobs::delete_image))
        .route("/v1/stop", post(stop))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .route("/v1/blobs/{digest}", get(blobs::has_blob).put(blobs::put_blob))
        .with_state(supervisor);
    let server = axum::serve(listener, routes).with_graceful_shutdown(stopped);
    if let Err(error) = server.await {
        eprintln!("partitiond: the API ended: {error}");
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match self.kind {
            ProblemKind::NotFound => StatusCode::NOT_FOUND,
            ProblemKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            ProblemKind::Refused => StatusCode::FORBIDDEN,
            ProblemKind::Busy => StatusCode::CONFLICT,
            ProblemKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self)).into_response()
    }
}

#[derive(Deserialize)]
struct Follow {
    #[serde(default)]
    follow: bool,
}

async fn version() -> Json<Version> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Version { version, pid: std::process::id() })
}

async fn machine(State(supervisor): Shared) -> Result<Json<MachineReport>, Problem> {
    let machine = supervisor.machine().map_err(|error| failed(&error))?;
    let facts = doctor::sys::read(&machine);
    let (bare, kvm) = (doctor::bare(&machine, &facts), doctor::kvm(&machine, &facts));
    Ok(Json(MachineReport { machine, bare, kvm }))
}

async fn plan(
    State(supervisor): Shared,
    Json(request): Json<UpRequest>,
) -> Result<Json<PlanAnswer>, Problem> {
    supervisor.plan(&request).map(|planned| Json(planned.answer()))
}

async fn up(
    State(supervisor): Shared,
    Json(request): Json<UpRequest>,
) -> Result<Response, Problem> {
    let operation = supervisor.begin_up()?;
    supervisor.settled().await;
    let planned = supervisor.plan(&request)?;
    planned.refuse_obstacles()?;
    Ok(streams::progress(|progress| supervisor.up(planned, operation, progress)))
}

async fn down(
    State(supervisor): Shared,
    Json(request): Json<DownRequest>,
) -> Result<Response, Problem> {
    supervisor.check_known(&request.names)?;
    Ok(streams::progress(|progress| supervisor.down(request, progress)))
}

async fn partitions(State(supervisor): Shared) -> Json<Vec<PartitionStatus>> {
    Json(supervisor.kept().values().map(super::kept::Kept::status).collect())
}

async fn partition(
    State(supervisor): Shared,
    Path(name): Path<String>,
) -> Result<Json<PartitionStatus>, Problem> {
    supervisor.status(&name).map(Json)
}

async fn log(
    State(supervisor): Shared,
    Path(name): Path<String>,
    Query(query): Query<Follow>,
) -> Result<Response, Problem> {
    // A log outlives its partition; a name that is none could lead anywhere.
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let path = supervisor.paths.log(&name);
    if !name.bytes().all(plain) || (!path.exists() && supervisor.status(&name).is_err()) {
        return Err(unknown(&name));
    }
    Ok(streams::file(path, query.follow))
}

/// A question to the partition's kernel: [`transaction::agent::Question`].
async fn kernel(
    State(supervisor): Shared,
    Path(name): Path<String>,
    Json(question): Json<Question>,
) -> Result<Json<Answer>, Problem> {
    supervisor.question(&name, question).await.map(Json)
}

/// A profile for the partition's kernel: [`crate::tuning::Errand`].
async fn profile(
    State(supervisor): Shared,
    Path(name): Path<String>,
    Json(errand): Json<Errand>,
) -> Result<Json<Report>, Problem> {
    supervisor.tune(&name, errand).await.map(Json)
}

/// All that the partition is, into a new folder.
async fn snapshot(
    State(supervisor): Shared,
    Path(name): Path<String>,
    Json(request): Json<SnapshotRequest>,
) -> Result<StatusCode, Problem> {
    supervisor.snapshot(&name, request).await.map(|()| StatusCode::NO_CONTENT)
}

async fn events(State(supervisor): Shared, Query(query): Query<Follow>) -> Response {
    let (stored, listener) = supervisor.events.listen();
    streams::events(stored, query.follow.then_some(listener))
}

async fn images(State(supervisor): Shared) -> Result<Json<Vec<StoredImage>>, Problem> {
    supervisor.images().map(Json)
}

async fn stop(State(supervisor): Shared) -> StatusCode {
    supervisor.stop.notify_one();
    StatusCode::NO_CONTENT
}

impl Supervisor {
    fn status(&self, name: &str) -> Result<PartitionStatus, Problem> {
        self.kept().get(name).map(super::kept::Kept::status).ok_or_else(|| unknown(name))
    }

    fn check_known(&self, names: &[String]) -> Result<(), Problem> {
        names.iter().try_for_each(|name| self.status(name).map(drop))
    }
}

pub(super) fn unknown(name: &str) -> Problem {
    let message = format!("there is no partition `{}`", printable(name));
    problem(ProblemKind::NotFound, message, Some("`partitiond ps` lists them".to_owned()))
}
