//! Many answers at once: fetched side by side, saved together, streamed one by one.
//!
//! Run it with `cargo run -p restow --example bulk --features reqwest`.

mod api;

use api::{Api, Track};
use futures_util::TryStreamExt;
use http::StatusCode;
use restow::{Cache, Got, Json, RouteEndpoint, Scope};
use std::{pin::pin, time::Duration};

/// How long the API's word counts that there is no such track.
const NEGATIVE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = Api::start().await?;
    let client = api::http_client();
    let cache = Cache::builder().url("memory:").build().await?;
    let tracks = RouteEndpoint::<String, Json<Track>>::get("tracks", &api.url("/v1/tracks/{id}"))?
        .negative(StatusCode::NOT_FOUND, NEGATIVE);
    let tracks = cache.create_repository(tracks).await?;

    // All of them are stored, or none.
    let own = ["7", "8"].map(|id| {
        let track = Track {
            id: id.to_owned(),
            name: format!("Demo {id}"),
            artist: "Me".to_owned(),
            seconds: 60,
        };
        (id.to_owned(), track)
    });
    let saved = tracks.save_many(&own).await?;
    println!("save_many: {saved:?}");

    // One look-up for all; what is missing is fetched, four at a time. Answer i is for key i.
    let keys: Vec<String> = (1..=9).map(|id| id.to_string()).collect();
    for round in ["first", "second"] {
        let before = api.asked();
        let got = tracks
            .get_or_fetch_many(&keys, &client)
            .concurrency(4)
            .await?;
        println!("{round} time, {} requests:", api.asked() - before);
        for (key, got) in keys.iter().zip(got) {
            match got {
                Got::Hit(track) => println!("  {key}: held      {}", track.name),
                Got::Fetched(track) => println!("  {key}: fetched   {}", track.name),
                Got::Stale(track) => println!("  {key}: stale     {}", track.name),
                Got::Negative(status) => println!("  {key}: negative  {status}"),
                Got::Failed(error) => println!("  {key}: failed    {error}"),
                _ => println!("  {key}: an answer of a newer version"),
            }
        }
    }

    // Each entry is read when it is asked for, so that the repository may be larger than memory.
    let mut stream = pin!(tracks.stream(Scope::Live));
    let (mut count, mut seconds) = (0, 0);
    while let Some((_, track)) = stream.try_next().await? {
        count += 1;
        seconds += track.seconds;
    }
    println!("{count} tracks play {seconds} seconds");

    cache.close().await?;
    Ok(())
}
