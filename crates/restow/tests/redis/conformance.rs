//! The promises of a store.

use crate::support::Places;
use restow::conformance::{self, Verdict};
use restow_testkit::redis::{Redis, RedisCluster};

fn assert_kept(report: &conformance::Report) {
    report.assert();
    let left_out = report
        .findings()
        .iter()
        .filter(|f| matches!(f.verdict, Verdict::NotPromised(_)));
    assert_eq!(left_out.count(), 0, "the store makes every promise");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_keeps_every_promise() {
    let server = Redis::start();
    assert_kept(&conformance::run(&Places::new(server.url())).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_keeps_every_promise() {
    let cluster = RedisCluster::start();
    assert_kept(&conformance::run(&Places::new(cluster.url())).await);
}
