use crate::support::{DAY, NOON, every_store, every_store_with, key, track, tracks};
use restow::{Clock, Expiry, Millis, Scope};
use std::time::Duration;

#[tokio::test]
async fn an_expired_answer_is_no_hit_and_is_still_kept() {
    for at in every_store_with(|b| b.expire_after(DAY)).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        at.clock.advance(DAY - Duration::from_millis(1));
        assert!(tracks.contains(&key("a")).await.unwrap(), "{}", at.url);
        at.clock.advance(Duration::from_millis(1));
        assert!(!tracks.contains(&key("a")).await.unwrap(), "{}", at.url);
        assert_eq!(tracks.get(&key("a")).await.unwrap(), None, "{}", at.url);
        for (scope, count) in [(Scope::All, 1), (Scope::Live, 0), (Scope::Expired, 1)] {
            assert_eq!(
                tracks.count(scope).await.unwrap(),
                count,
                "{} {scope:?}",
                at.url
            );
        }
    }
}

#[tokio::test]
async fn clearing_the_expired_leaves_the_live() {
    for at in every_store_with(|b| b.expire_after(DAY)).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("old"), &track("old")).await.unwrap();
        at.clock.advance(DAY);
        tracks.save(&key("new"), &track("new")).await.unwrap();
        assert_eq!(tracks.clear(Scope::Expired).await.unwrap(), 1, "{}", at.url);
        assert_eq!(
            tracks.get(&key("new")).await.unwrap(),
            Some(track("new")),
            "{}",
            at.url
        );
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 1, "{}", at.url);
    }
}

#[tokio::test]
async fn a_clear_of_more_than_one_chunk_removes_them_all() {
    for at in every_store().await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        let pairs: Vec<_> = (0..2_500)
            .map(|i| (key(&i.to_string()), track("t")))
            .collect();
        tracks.save_many(&pairs).await.unwrap();
        assert_eq!(tracks.clear(Scope::All).await.unwrap(), 2_500, "{}", at.url);
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 0, "{}", at.url);
    }
}

#[tokio::test]
async fn past_its_keep_an_entry_is_gone() {
    for at in every_store_with(|b| b.expire_after(DAY).keep(DAY)).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        at.clock.advance(2 * DAY);
        assert_eq!(tracks.count(Scope::All).await.unwrap(), 0, "{}", at.url);
        assert_eq!(tracks.entry(&key("a")).await.unwrap(), None, "{}", at.url);
        assert!(!tracks.delete(&key("a")).await.unwrap(), "{}", at.url);
    }
}

#[tokio::test]
async fn a_sweep_removes_what_is_past_its_keep_and_nothing_else() {
    for at in every_store_with(|b| b.expire_after(DAY).keep(DAY)).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks
            .principal("alice")
            .unwrap()
            .save(&key("gone"), &track("gone"))
            .await
            .unwrap();
        at.clock.advance(DAY);
        tracks.save(&key("kept"), &track("kept")).await.unwrap();
        at.clock.advance(DAY);
        assert_eq!(tracks.sweep().await.unwrap(), 1, "{}", at.url);
        assert_eq!(tracks.sweep().await.unwrap(), 0, "{}", at.url);
        assert_eq!(tracks.count(Scope::Expired).await.unwrap(), 1, "{}", at.url);
    }
}

#[tokio::test]
async fn calendar_months_end_on_the_day_of_the_month() {
    let month: Expiry = "1 month".parse().unwrap();
    for at in every_store_with(|b| b.expire_after(month)).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        at.clock.advance(31 * DAY - Duration::from_millis(1));
        assert!(tracks.contains(&key("a")).await.unwrap(), "{}", at.url);
        at.clock.advance(Duration::from_millis(1));
        assert_eq!(at.clock.now().to_string(), "2026-09-01T12:00:00Z");
        assert!(!tracks.contains(&key("a")).await.unwrap(), "{}", at.url);
    }
}

#[tokio::test]
async fn the_expiry_is_now_and_the_endpoints_own_before_the_caches() {
    for at in every_store_with(|b| b.expire_after(DAY)).await {
        let inherits = at.cache.create_repository(tracks()).await.unwrap();
        assert_eq!(inherits.expires_at(), NOON.plus(DAY), "{}", at.url);
        at.cache.drop_repository("tracks").await.unwrap();
        let own = at
            .cache
            .create_repository(tracks().expire_after(Expiry::NEVER))
            .await
            .unwrap();
        assert_eq!(own.expires_at(), Millis::MAX, "{}", at.url);
        own.save(&key("a"), &track("a")).await.unwrap();
        at.clock.advance(100_000 * DAY);
        assert!(own.contains(&key("a")).await.unwrap(), "{}", at.url);
    }
}

#[tokio::test]
async fn an_expired_answer_is_deleted_too() {
    for at in every_store_with(|b| b.expire_after(DAY)).await {
        let tracks = at.cache.create_repository(tracks()).await.unwrap();
        tracks.save(&key("a"), &track("a")).await.unwrap();
        at.clock.advance(DAY);
        assert!(tracks.delete(&key("a")).await.unwrap(), "{}", at.url);
        assert!(!tracks.delete(&key("a")).await.unwrap(), "{}", at.url);
    }
}
