//! Starts work as Kubernetes Jobs. Creating a Job is idempotent: an existing Job of the same name
//! counts as created.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use tallybox_service::config::load;

use super::manifest::{JobForm, PROCESSOR, TASKS};
use super::{client, failed, namespace};
use crate::config::{Config, JobsConfig, OwnerConfig};
use crate::error::Error;
use crate::start::{RunningTasks, StartRequest, Starter};
use tallybox_model::task::QueueKind;

/// Limit of Jobs per list request.
const PAGE: u32 = 500;

/// Starts work as Kubernetes Jobs.
#[derive(Clone)]
pub struct Jobs {
    /// The API of the Jobs in their namespace.
    pub api: Api<Job>,
    /// The form of the Jobs.
    pub form: JobForm,
    /// Limit of unfinished Jobs.
    pub most_running: usize,
    /// Limit of intakes per Job.
    pub intakes_a_job: usize,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl Jobs {
    /// Connects to the cluster of the environment and reads the template in `file`.
    ///
    /// # Errors
    /// [`Error`], caused by the template or the cluster.
    pub async fn open(config: &Config, jobs: &JobsConfig, file: &Path) -> Result<Self, Error> {
        let form = JobForm {
            template: load::<Job>(file)?.value,
            instance: config.instance.clone(),
            role: config.role,
            parallelism: jobs.parallelism,
            keep_secs: jobs.keep_secs,
            owner: None,
        };
        form.check().map_err(|problem| {
            Error::Setting(format!("jobs.template {}: {problem}", file.display()))
        })?;
        Self::on(client().await?, form, jobs).await
    }

    /// Uses a given cluster client. If an owner is configured, this looks it up.
    ///
    /// # Errors
    /// [`Error::Kubernetes`].
    pub async fn on(client: Client, mut form: JobForm, jobs: &JobsConfig) -> Result<Self, Error> {
        let namespace = namespace(&client, jobs.namespace.as_ref());
        if let Some(config) = &jobs.owner {
            form.owner = Some(owner(client.clone(), &namespace, config).await?);
        }
        Ok(Self {
            api: Api::namespaced(client, &namespace),
            form,
            most_running: jobs.most_running,
            intakes_a_job: jobs.intakes_a_job,
        })
    }
}

/// Looks up the owner of the Jobs and returns a reference to it.
async fn owner(
    client: Client,
    namespace: &str,
    config: &OwnerConfig,
) -> Result<OwnerReference, Error> {
    let (group, version) = config
        .api_version
        .split_once('/')
        .unwrap_or(("", &config.api_version));
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &config.kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &kind);
    let what = format!("the owner, {} {}", config.kind, config.name);
    let found = api
        .get(&config.name)
        .await
        .map_err(|error| failed(what.clone(), error))?;
    let uid = found
        .uid()
        .ok_or_else(|| Error::Internal(format!("{what}: the object has no uid")))?;
    Ok(OwnerReference {
        api_version: config.api_version.clone(),
        kind: config.kind.clone(),
        name: config.name.clone(),
        uid,
        controller: Some(false),
        block_owner_deletion: Some(false),
    })
}

#[async_trait]
impl Starter for Jobs {
    async fn running(&self) -> Result<RunningTasks, Error> {
        let mut running = RunningTasks::default();
        let (mut unfinished, mut next) = (0, None);
        loop {
            let mut wanted = ListParams::default()
                .labels(&format!("{PROCESSOR}={}", self.form.processor()))
                .limit(PAGE);
            wanted.continue_token = next;
            let page = self
                .api
                .list(&wanted)
                .await
                .map_err(|error| failed("cannot list Jobs", error))?;
            for job in &page.items {
                unfinished += usize::from(!is_finished(job));
                // Tasks that were started before a crash are recognised here, also without markers.
                let tasks = job
                    .annotations()
                    .get(TASKS)
                    .into_iter()
                    .flat_map(|tasks| tasks.lines());
                running.keys.extend(tasks.map(str::to_owned));
            }
            next = page.metadata.continue_.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        running.room = Some(self.most_running.saturating_sub(unfinished));
        Ok(running)
    }

    fn together(&self, queue: QueueKind) -> usize {
        match queue {
            QueueKind::Intake => self.intakes_a_job,
            QueueKind::Aggregate => 1,
        }
    }

    async fn start(&self, queue: QueueKind, tasks: &[StartRequest]) -> Result<(), Error> {
        let job = self.form.job(queue, tasks);
        let name = job.name_any();
        match self.api.create(&PostParams::default(), &job).await {
            Ok(_) => Ok(()),
            // The name derives from the tasks, so this is the same Job.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(failed(format!("cannot create Job {name}"), error)),
        }
    }

    fn location(&self, queue: QueueKind) -> String {
        format!("Jobs ({}) at {}", queue.as_str(), self.api.resource_url())
    }
}

/// Returns whether a Job has succeeded or failed permanently.
fn is_finished(job: &Job) -> bool {
    let conditions = job
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })
}
