//! How a program tests its own code that reads an API: no network, no file, and a clock that the test moves.
//!
//! Run it with `cargo run -p restow --example offline_tests`, its tests with `cargo test -p restow --example offline_tests`.

use bytes::Bytes;
use restow::{
    BoxFuture, Cache, Error, ErrorKind, Fetch, Json, Millis, Mode, Repository, Result,
    RouteEndpoint, TestClock, client::Body,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the API says of a track.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Track {
    name: String,
    seconds: u32,
}

type Tracks = Repository<RouteEndpoint<String, Json<Track>>>;

/// Opens what the program reads. The only thing that the test does otherwise is how it builds the cache.
async fn open(cache: &Cache) -> Result<Tracks> {
    let tracks = RouteEndpoint::get("tracks", "https://api.example.com/v1/tracks/{id}")?;
    cache.create_repository(tracks).await
}

/// The code under test: how many seconds a list of tracks plays. A track that does not exist is left out.
async fn length(tracks: &Tracks, ids: &[&str], client: &impl Fetch) -> Result<u32> {
    let mut seconds = 0;
    for id in ids {
        let fetched = tracks.get_or_fetch(&(*id).to_owned(), client).await?;
        seconds += fetched.value.map_or(0, |track| track.seconds);
    }
    Ok(seconds)
}

/// In the place of the network. The mode keeps every request from it.
struct NoNetwork;

impl Fetch for NoNetwork {
    fn fetch(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<http::Response<Body>>> {
        let path = request.uri().path().to_owned();
        Box::pin(async move {
            let message = format!("the test asked the network for {path}");
            Err(Error::new(ErrorKind::Upstream, message))
        })
    }
}

/// A cache for tests, and its clock.
async fn cache_for_tests() -> Result<(Cache, TestClock)> {
    let clock = TestClock::at(Millis(1_800_000_000_000));
    let cache = Cache::builder()
        .url("memory:")
        .clock(clock.clone())
        .mode(Mode::Offline)
        .build()
        .await?;
    Ok((cache, clock))
}

fn track(name: &str, seconds: u32) -> Track {
    Track {
        name: name.to_owned(),
        seconds,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (cache, clock) = cache_for_tests().await?;
    let tracks = open(&cache).await?;
    // What the API would have said is saved as values.
    tracks.save("1", &track("Feeling Good", 174)).await?;
    tracks.save("2", &track("Sinnerman", 620)).await?;
    println!(
        "held: {} s",
        length(&tracks, &["1", "2"], &NoNetwork).await?
    );

    clock.advance(Duration::from_secs(8 * 86_400));
    println!(
        "a day after they expired: {} s, and tracks.get(\"1\") = {:?}",
        length(&tracks, &["1", "2"], &NoNetwork).await?,
        tracks.get("1").await?.map(|track| track.name)
    );

    if let Err(error) = length(&tracks, &["3"], &NoNetwork).await {
        println!("not held: {:?}: {error}", error.kind());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_length_of_a_list_is_the_sum_of_its_tracks() -> Result<()> {
        let (cache, _) = cache_for_tests().await?;
        let tracks = open(&cache).await?;
        tracks.save("1", &track("Feeling Good", 174)).await?;
        tracks.save("2", &track("Sinnerman", 620)).await?;
        assert_eq!(length(&tracks, &["1", "2", "1"], &NoNetwork).await?, 968);
        Ok(())
    }

    #[tokio::test]
    async fn expired_tracks_still_count_where_there_is_no_network() -> Result<()> {
        let (cache, clock) = cache_for_tests().await?;
        let tracks = open(&cache).await?;
        tracks.save("1", &track("Feeling Good", 174)).await?;
        clock.advance(Duration::from_secs(8 * 86_400));
        assert!(tracks.get("1").await?.is_none());
        assert_eq!(length(&tracks, &["1"], &NoNetwork).await?, 174);
        Ok(())
    }

    #[tokio::test]
    async fn a_track_that_is_not_held_is_an_error_and_never_a_request() -> Result<()> {
        let (cache, _) = cache_for_tests().await?;
        let tracks = open(&cache).await?;
        let error = length(&tracks, &["1"], &NoNetwork).await.err();
        assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::Offline));
        Ok(())
    }
}
