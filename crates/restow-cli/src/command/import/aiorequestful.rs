//! `restow import aiorequestful FILE --timezone ZONE`.

use super::foreign::ForeignArgs;
use crate::{cli::Global, exit::Failure, output::Out};
use clap::Args;
use jiff::tz::TimeZone;
use restow::{
    Clock as _, SystemClock,
    moving::foreign::{FieldMap, LocalRows, aiorequestful},
};

/// Takes over the SQLite file of the Python library aiorequestful: each of its tables to the endpoint of the same name.
///
/// It keeps local times that name no zone: --timezone says which one they are of. Where the clocks were changed, a local time may be two moments or none:
/// the earlier one is taken, so that no entry lives longer than it did there. Rows without a payload are left. Whose a row is the file does not say: without
/// --principal all go to the public.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow import aiorequestful music.sqlite --timezone Europe/Berlin --dry-run
  restow import aiorequestful music.sqlite --timezone UTC --map tracks:id=track_id --principal me")]
pub(super) struct Aiorequestful {
    #[command(flatten)]
    common: ForeignArgs,
    /// The time zone of the machine that wrote it, by its IANA name: Europe/Berlin, America/New_York, UTC.
    #[arg(long, value_name = "ZONE")]
    timezone: String,
    /// A column of a table that holds a field of another name; may be repeated.
    #[arg(long = "map", value_name = "REPOSITORY:COLUMN=FIELD")]
    maps: Vec<String>,
    /// A table to take over; may be repeated. Without it, all.
    #[arg(long = "repository", value_name = "NAME")]
    repositories: Vec<String>,
}

impl Aiorequestful {
    pub(super) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let zone = TimeZone::get(&self.timezone).map_err(|e| {
            let message = format!(
                "--timezone {:?} is no time zone; write its IANA name, such as Europe/Berlin, or UTC",
                self.timezone
            );
            Failure::usage(message).because(e)
        })?;
        let maps = self.maps.iter().map(|map| map.parse::<FieldMap>());
        let from = LocalRows {
            path: self.common.file.clone(),
            zone,
            maps: maps.collect::<restow::Result<_>>()?,
            tables: self.repositories,
        };
        let begin = |session: &crate::session::Session, options| {
            aiorequestful(&session.cache, from, options, SystemClock.now())
        };
        self.common.run(global, out, begin).await
    }
}
