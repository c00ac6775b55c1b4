//! What can go wrong in Postgres, by what the caller can do about it.

use sqlx::postgres::PgDatabaseError;

/// An error of the database, sorted by what helps.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or not now: try again.
    #[error("postgres is not available: check that it runs and that DATABASE_URL names it")]
    Unavailable(#[source] sqlx::Error),
    /// A row with this key is there already.
    #[error("{constraint} refuses a second row of the same key")]
    Duplicate {
        /// The constraint's name.
        constraint: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// It refuses the data: trying again gives the same answer.
    #[error("postgres refuses the data ({code}): {message}")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// What the server said.
        message: String,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// A statement found other rows than it must have.
    #[error("{0}")]
    Conflict(String),
    /// The tables are not those this program was built for.
    #[error(transparent)]
    Schema(#[from] crate::migrate::SchemaError),
    /// Anything else: a defect.
    #[error("postgres failed")]
    Other(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether the data is to blame.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Duplicate { .. } | Self::Refused { .. })
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(server) = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        else {
            return match &error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => Self::Unavailable(error),
                sqlx::Error::Encode(_) => Self::Refused {
                    code: "22000".to_owned(),
                    message: error.to_string(),
                    source: error,
                },
                _ => Self::Other(error),
            };
        };
        let (code, message) = (server.code().to_owned(), server.message().to_owned());
        match (code.as_str(), code.get(..2)) {
            ("23505", _) => Self::Duplicate {
                constraint: server.constraint().unwrap_or_default().to_owned(),
                source: error,
            },
            // Connection trouble, rollbacks to be tried again, resources, operator's intervention, read-only standby.
            (_, Some("08" | "40" | "53" | "57")) | ("55P03" | "25006", _) => Self::Unavailable(error),
            // Data that does not fit its type, or a constraint that it breaks; program limits such as a row too large.
            (_, Some("22" | "23" | "54")) => Self::Refused {
                code,
                message,
                source: error,
            },
            _ => Self::Other(error),
        }
    }
}
