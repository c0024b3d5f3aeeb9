//! The same over the stores of several machines, each behind its breaker.

use super::processes::over;

/// Ten thousand requests at once on a small machine: a store that answers late is not down.
const PATIENT: &str = "timeout=5s";

#[cfg(feature = "redis")]
mod redis {
    pub fn start() -> (restow_testkit::redis::Redis, String) {
        let server = restow_testkit::redis::Redis::start();
        let url = format!("{}/?{}", server.url(), super::PATIENT);
        (server, url)
    }

    pub fn cluster() -> (restow_testkit::redis::RedisCluster, String) {
        let server = restow_testkit::redis::RedisCluster::start();
        let url = format!("{}/?{}", server.url(), super::PATIENT);
        (server, url)
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    pub fn start() -> (restow_testkit::Postgres, String) {
        let server = restow_testkit::Postgres::start();
        let url = format!("{}&{}", server.fresh(), super::PATIENT);
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
    a_fetch_that_outlives_its_lease_on_redis_is_made_once,
    lease_outlived,
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
#[cfg(feature = "postgres")]
over!(
    a_fetch_that_outlives_its_lease_on_postgres_is_made_once,
    lease_outlived,
    postgres::start()
);
