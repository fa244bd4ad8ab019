//! Exit codes and the one place where errors of all layers meet.

use std::process::ExitCode;

use crate::catalog::CatalogError;
use crate::compare::CompareError;
use crate::emoji::EmojiError;
use crate::import::ImportError;
use crate::merge::MergeError;
use crate::model::ModelError;
use crate::plan::PlanError;
use crate::report::ReportError;
use crate::run::{RunError, SoupError};
use crate::store::StoreError;
use crate::suite::SuiteError;
use crate::train::TrainError;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// `check` found a regression.
    Regression = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Results cannot be compared.
    Incomparable = 3,
    /// Something could not be measured.
    Unmeasured = 4,
    /// A fault of this program or of the machine.
    Internal = 5,
    /// Stopped by the user; finished work is kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A message and an exit code.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    pub message: String,
}

impl CliError {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

fn of_catalog(error: &CatalogError) -> Exit {
    match error {
        CatalogError::Data(_) | CatalogError::WrongDigest { .. } => Exit::Unmeasured,
        _ => Exit::Usage,
    }
}

fn of_plan(error: &PlanError) -> Exit {
    match error {
        PlanError::Catalog(inner) => of_catalog(inner),
        PlanError::Ends { .. }
        | PlanError::Until { .. }
        | PlanError::Metric { .. }
        | PlanError::CannotAnswer { .. } => Exit::Usage,
        PlanError::Several(all) => {
            let usage = all.iter().all(|e| of_plan(e) == Exit::Usage);
            if usage { Exit::Usage } else { Exit::Unmeasured }
        }
        _ => Exit::Unmeasured,
    }
}

impl From<CatalogError> for CliError {
    fn from(error: CatalogError) -> Self {
        Self::new(of_catalog(&error), error.to_string())
    }
}

impl From<SuiteError> for CliError {
    fn from(error: SuiteError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<PlanError> for CliError {
    fn from(error: PlanError) -> Self {
        Self::new(of_plan(&error), error.to_string())
    }
}

impl From<SoupError> for CliError {
    fn from(error: SoupError) -> Self {
        match error {
            SoupError::Plan(error) => error.into(),
            SoupError::Run(error) => error.into(),
        }
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        let exit = match &error {
            RunError::Interrupted => Exit::Interrupted,
            RunError::Merge(MergeError::Mismatch { .. })
            | RunError::Cluster { .. }
            | RunError::Model(ModelError::Device(_)) => Exit::Usage,
            RunError::Store(_) => Exit::Internal,
            _ => Exit::Unmeasured,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        let exit = match &error {
            ReportError::Empty(_) => Exit::Unmeasured,
            ReportError::Store(StoreError::File(e)) if e.is_missing() => Exit::Usage,
            ReportError::Store(StoreError::Format { .. } | StoreError::Edited(_))
            | ReportError::Mixed { .. } => Exit::Incomparable,
            _ => Exit::Internal,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Report(error) => error.into(),
            ImportError::Store(_) => Self::new(Exit::Internal, error.to_string()),
            ImportError::File(_) | ImportError::Unreadable { .. } | ImportError::Unfit(_) => {
                Self::new(Exit::Usage, error.to_string())
            }
        }
    }
}

impl From<CompareError> for CliError {
    fn from(error: CompareError) -> Self {
        let exit = match &error {
            CompareError::Store(StoreError::File(e)) if e.is_missing() => Exit::Unmeasured,
            CompareError::Store(StoreError::Edited(_)) => Exit::Incomparable,
            CompareError::Store(StoreError::Format { .. })
            | CompareError::Baseline { .. }
            | CompareError::Mixed(_) => Exit::Incomparable,
            CompareError::Nothing(_) => Exit::Unmeasured,
            CompareError::Store(_) | CompareError::File(_) => Exit::Internal,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<TrainError> for CliError {
    fn from(error: TrainError) -> Self {
        let exit = match &error {
            TrainError::Config(_) | TrainError::Catalog(_) | TrainError::Recipe { .. } => Exit::Usage,
            TrainError::Interrupted(_) => Exit::Interrupted,
            TrainError::File(e) if e.is_missing() => Exit::Usage,
            TrainError::File(_) | TrainError::Compute(_) => Exit::Internal,
            _ => Exit::Unmeasured,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<EmojiError> for CliError {
    fn from(error: EmojiError) -> Self {
        let exit = match &error {
            EmojiError::Package { .. } => Exit::Unmeasured,
            _ => Exit::Internal,
        };
        Self::new(exit, error.to_string())
    }
}
