//! The Job that some tasks become: a pure function of a template and the tasks. The same tasks make the same name, so that
//! whoever makes it once more finds it there.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sha2::{Digest, Sha256};
use tallybox_model::id::Instance;
use tallybox_model::role::Role;

use crate::start::Task;
use crate::work::QueueKind;

/// The label of the processor: an instance has more characters than a label takes, so it is a digest.
pub(super) const PROCESSOR: &str = "tallybox.org/processor";
/// The label of the kind of task.
const QUEUE: &str = "tallybox.org/queue";
/// The annotation of the instance, in full.
const INSTANCE: &str = "tallybox.org/instance";
/// The annotation of the tasks of a Job, one a line, in the order of their indexes.
pub(super) const TASKS: &str = "tallybox.org/tasks";
/// Who makes these Jobs.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "tallybox-workflow-manager");
/// Characters of an instance that stand in the name of a Job. All in all a name has at most 63, with room for an index.
const INSTANCE_CHARACTERS: usize = 24;

/// What every Job has in common.
#[derive(Clone, Debug)]
pub struct JobForm {
    /// The Job that all are made from.
    pub template: Job,
    /// The pair of locality and ingestor.
    pub instance: Instance,
    /// Which processor.
    pub role: Role,
    /// How many pods of an indexed Job run at once.
    pub parallelism: u32,
    /// How long a finished Job is kept, in seconds.
    pub keep_secs: u32,
    /// What owns the Jobs.
    pub owner: Option<OwnerReference>,
}

impl JobForm {
    /// What is wrong with the template, beginning with the place.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        let spec = self.template.spec.as_ref().ok_or("spec is missing")?;
        let pod = spec.template.spec.as_ref().ok_or("spec.template.spec is missing")?;
        let restart = pod.restart_policy.as_deref();
        if !matches!(restart, Some("Never" | "OnFailure")) {
            return Err("spec.template.spec.restartPolicy has to be Never or OnFailure".to_owned());
        }
        if pod.containers.is_empty() {
            return Err("spec.template.spec.containers needs one, that of the facilitator first".to_owned());
        }
        let unlimited = |container: &&Container| {
            let limits = container
                .resources
                .as_ref()
                .and_then(|resources| resources.limits.as_ref());
            !limits.is_some_and(|limits| limits.contains_key("cpu") && limits.contains_key("memory"))
        };
        if let Some(container) = pod.containers.iter().find(unlimited) {
            return Err(format!(
                "container {}: resources.limits needs cpu and memory",
                container.name
            ));
        }
        Ok(())
    }

    /// The value of the label that names the processor.
    #[must_use]
    pub fn processor(&self) -> String {
        digest(&[&self.instance.to_string(), &self.role.to_string()])
    }

    /// The name of the Job of these tasks.
    #[must_use]
    pub fn name(&self, queue: QueueKind, tasks: &[Task]) -> String {
        let keys: Vec<&str> = tasks.iter().map(|task| task.key.as_str()).collect();
        let processor = self.processor();
        let all = [&[processor.as_str(), queue.word()], keys.as_slice()].concat();
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
        format!("{instance}-{}-{}", queue.word(), digest(&all))
    }

    /// The Job of these tasks: one pod for each, told apart by its index if there are several.
    #[must_use]
    pub fn job(&self, queue: QueueKind, tasks: &[Task]) -> Job {
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
        if let Some(container) = spec.template.spec.as_mut().and_then(|pod| pod.containers.first_mut()) {
            let arguments = container.args.get_or_insert_default();
            arguments.extend(["run-task".to_owned(), queue.word().to_owned()]);
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
        labels.insert(QUEUE.to_owned(), queue.word().to_owned());
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    }

    fn shape(&self, spec: &mut JobSpec, tasks: usize) {
        // A setting bounds the tasks of a Job far below this.
        let count = i32::try_from(tasks).unwrap_or(i32::MAX);
        let at_once = i32::try_from(self.parallelism).unwrap_or(i32::MAX);
        spec.completions = Some(count);
        spec.parallelism = Some(at_once.min(count));
        spec.completion_mode = (count > 1).then(|| "Indexed".to_owned());
        spec.ttl_seconds_after_finished = Some(i32::try_from(self.keep_secs).unwrap_or(i32::MAX));
        spec.selector = None;
    }
}

/// 16 hexadecimal digits.
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
