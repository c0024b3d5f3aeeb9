//! The same over the stores of several machines, each behind its breaker.

use super::processes;

/// Runs what is asked for in a child, else the test over a store.
macro_rules! over {
    ($name:ident, $what:ident, $server:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if tokio::task::spawn_blocking(processes::run_child)
                .await
                .unwrap()
            {
                return;
            }
            let server = $server;
            let test = concat!("networked::", stringify!($name));
            // Ten thousand requests at once on a small machine: a store that answers late is not down.
            let url = format!("{}timeout=5s", server.1);
            processes::$what(test, &url).await;
        }
    };
}

#[cfg(feature = "redis")]
mod redis {
    pub fn start() -> (restow_testkit::redis::Redis, String) {
        let server = restow_testkit::redis::Redis::start();
        let url = format!("{}/?", server.url());
        (server, url)
    }

    pub fn cluster() -> (restow_testkit::redis::RedisCluster, String) {
        let server = restow_testkit::redis::RedisCluster::start();
        let url = format!("{}/?", server.url());
        (server, url)
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    pub fn start() -> (restow_testkit::Postgres, String) {
        let server = restow_testkit::Postgres::start();
        let url = format!("{}&", server.fresh());
        (server, url)
    }
}

#[cfg(feature = "redis")]
over!(
    processes_on_redis_make_one_request,
    one_request,
    redis::start()
);
#[cfg(feature = "redis")]
over!(
    a_killed_leader_on_redis_is_followed_by_one_other,
    leader_killed,
    redis::start()
);
#[cfg(feature = "redis")]
over!(
    processes_on_a_cluster_make_one_request,
    one_request,
    redis::cluster()
);
#[cfg(feature = "postgres")]
over!(
    processes_on_postgres_make_one_request,
    one_request,
    postgres::start()
);
#[cfg(feature = "postgres")]
over!(
    a_killed_leader_on_postgres_is_followed_by_one_other,
    leader_killed,
    postgres::start()
);
