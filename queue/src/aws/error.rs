//! The conversion of AWS errors.

use std::error::Error;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use crate::QueueError;
use crate::error::setting;

/// A result whose error only means that the operation failed.
pub(super) trait Failed<T> {
    fn failed(self, queue: &str, operation: &'static str) -> Result<T, QueueError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Failed<T> for Result<T, E> {
    fn failed(self, queue: &str, operation: &'static str) -> Result<T, QueueError> {
        self.map_err(|error| QueueError::Unavailable {
            queue: queue.to_owned(),
            operation,
            source: error.into(),
        })
    }
}

/// Converts the error of a response.
pub(super) fn read_failure<E, R>(
    queue: &str,
    operation: &'static str,
    error: SdkError<E, R>,
) -> QueueError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let about_receipt = error
        .message()
        .is_some_and(|message| message.to_ascii_lowercase().contains("receipt"));
    // In one of its two protocols, SQS prefixes some of the codes.
    let code = code.rsplit('.').next().unwrap_or_default();
    let queue = queue.to_owned();
    match code {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => QueueError::LeaseLost { queue },
        "InvalidParameterValue" if about_receipt => QueueError::LeaseLost { queue },
        "InvalidMessageContents" => QueueError::NotText { queue },
        "QueueDoesNotExist" | "NonExistentQueue" | "NotFound" | "NotFoundException" => setting(
            queue,
            "the queue or topic does not exist: create it, or correct its region, account and name",
        ),
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "AuthorizationErrorException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "KMSAccessDeniedException"
        | "KmsAccessDenied"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => QueueError::PermissionDenied { queue, operation },
        _ => QueueError::Unavailable {
            queue,
            operation,
            source: Box::new(error),
        },
    }
}
