//! GitHub's API as it was recorded, for trying a proxy in front of it: `cargo run -p restow-testkit --bin recorded-github -- 127.0.0.1:8001`.

use restow_testkit::github::{GitHub, recordings};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8001")).await?;
    let mut targets: Vec<_> = recordings().into_keys().collect();
    targets.sort_unstable();
    let github = GitHub::on(listener);
    for target in targets {
        println!("http://{}{target}", github.address());
    }
    std::future::pending().await
}
