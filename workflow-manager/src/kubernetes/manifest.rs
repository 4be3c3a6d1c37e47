//! Builds the Job of some tasks: a pure function of a template and the tasks. The same tasks give
//! the same name, so a repeated creation finds the existing Job.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sha2::{Digest, Sha256};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;

use crate::start::StartRequest;
use tallybox_model::task::QueueKind;

/// Label of the processor. The value is a digest, because an instance can be longer than a label
/// value.
pub(super) const PROCESSOR: &str = "tallybox.org/processor";
/// Label of the kind of task.
const QUEUE: &str = "tallybox.org/queue";
/// Annotation with the full instance.
const INSTANCE: &str = "tallybox.org/instance";
/// Annotation with the tasks of a Job, one per line, in the order of their indexes.
pub(super) const TASKS: &str = "tallybox.org/tasks";
/// Label that identifies the program that manages these Jobs.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "tallybox-workflow-manager");
/// Number of characters of the instance in the name of a Job. The whole name has at most 63
/// characters, including an index.
const INSTANCE_CHARACTERS: usize = 24;

/// Common properties of all Jobs.
#[derive(Clone, Debug)]
pub struct JobForm {
    /// The template of every Job.
    pub template: Job,
    /// The instance, a pair of locality and ingestor.
    pub instance: Instance,
    /// The processor's role.
    pub role: Role,
    /// Limit of concurrent pods of an indexed Job.
    pub parallelism: u32,
    /// How long a finished Job is kept, in seconds.
    pub keep_secs: u32,
    /// The owner of the Jobs.
    pub owner: Option<OwnerReference>,
}

impl JobForm {
    /// Validates the template.
    ///
    /// # Errors
    /// The problem, beginning with the path of the field.
    pub fn check(&self) -> Result<(), String> {
        let spec = self.template.spec.as_ref().ok_or("spec is missing")?;
        let pod = spec
            .template
            .spec
            .as_ref()
            .ok_or("spec.template.spec is missing")?;
        let restart = pod.restart_policy.as_deref();
        if !matches!(restart, Some("Never" | "OnFailure")) {
            return Err("spec.template.spec.restartPolicy must be Never or OnFailure".to_owned());
        }
        if pod.containers.is_empty() {
            return Err(
                "spec.template.spec.containers is empty; add the facilitator as the first container".to_owned(),
            );
        }
        let unlimited = |container: &&Container| {
            let limits = container
                .resources
                .as_ref()
                .and_then(|resources| resources.limits.as_ref());
            !limits
                .is_some_and(|limits| limits.contains_key("cpu") && limits.contains_key("memory"))
        };
        if let Some(container) = pod.containers.iter().find(unlimited) {
            return Err(format!(
                "container {}: resources.limits needs cpu and memory",
                container.name
            ));
        }
        Ok(())
    }

    /// Returns the value of the processor label.
    #[must_use]
    pub fn processor(&self) -> String {
        digest(&[&self.instance.to_string(), &self.role.to_string()])
    }

    /// Returns the name of the Job for these tasks.
    #[must_use]
    pub fn name(&self, queue: QueueKind, tasks: &[StartRequest]) -> String {
        let keys: Vec<&str> = tasks.iter().map(|task| task.key.as_str()).collect();
        let processor = self.processor();
        let all = [&[processor.as_str(), queue.as_str()], keys.as_slice()].concat();
        let instance: String = self
            .instance
            .as_str()
            .to_ascii_lowercase()
            .chars()
            .map(|character| {
                if character.is_ascii_alphanumeric() {
                    character
                } else {
                    '-'
                }
            })
            .take(INSTANCE_CHARACTERS)
            .collect();
        let instance = instance.trim_matches('-');
        let instance = if instance.is_empty() { "x" } else { instance };
        format!("{instance}-{}-{}", queue.as_str(), digest(&all))
    }

    /// Builds the Job for these tasks: one pod per task, identified by its index if there are
    /// several.
    #[must_use]
    pub fn job(&self, queue: QueueKind, tasks: &[StartRequest]) -> Job {
        let mut job = self.template.clone();
        let metadata = &mut job.metadata;
        metadata.name = Some(self.name(queue, tasks));
        metadata.generate_name = None;
        metadata.owner_references = self.owner.clone().map(|owner| vec![owner]);
        self.label(metadata, queue);
        let keys: Vec<&str> = tasks.iter().map(|task| task.key.as_str()).collect();
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(TASKS.to_owned(), keys.join("\n"));
        annotations.insert(INSTANCE.to_owned(), self.instance.to_string());
        let spec = job.spec.get_or_insert_default();
        self.shape(spec, tasks.len());
        self.label(spec.template.metadata.get_or_insert_default(), queue);
        if let Some(container) = spec
            .template
            .spec
            .as_mut()
            .and_then(|pod| pod.containers.first_mut())
        {
            let arguments = container.args.get_or_insert_default();
            arguments.extend(["run-task".to_owned(), queue.as_str().to_owned()]);
            let texts = tasks
                .iter()
                .map(|task| String::from_utf8_lossy(&task.message).into_owned());
            arguments.extend(texts);
        }
        job
    }

    fn label(&self, metadata: &mut ObjectMeta, queue: QueueKind) {
        let labels: &mut BTreeMap<String, String> = metadata.labels.get_or_insert_default();
        labels.insert(PROCESSOR.to_owned(), self.processor());
        labels.insert(QUEUE.to_owned(), queue.as_str().to_owned());
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    }

    fn shape(&self, spec: &mut JobSpec, tasks: usize) {
        // The setting `intakes-a-job` limits the tasks of a Job far below `i32::MAX`.
        let count = i32::try_from(tasks).unwrap_or(i32::MAX);
        let at_once = i32::try_from(self.parallelism).unwrap_or(i32::MAX);
        spec.completions = Some(count);
        spec.parallelism = Some(at_once.min(count));
        spec.completion_mode = (count > 1).then(|| "Indexed".to_owned());
        spec.ttl_seconds_after_finished = Some(i32::try_from(self.keep_secs).unwrap_or(i32::MAX));
        // Kubernetes sets the selector of a Job.
        spec.selector = None;
    }
}

/// Returns a digest of 16 hexadecimal digits.
fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"tallybox job\n");
    for text in texts {
        hash.update(text.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
