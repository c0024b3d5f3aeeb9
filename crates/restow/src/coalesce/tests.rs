use super::{
    Flight, Flights, Leader, Passenger, Seat,
    flights::{MOST_SOLO, lock},
};
use std::sync::Arc;

fn flights() -> Arc<Flights<u32, u32>> {
    Arc::new(Flights::new())
}

fn lead(flights: &Arc<Flights<u32, u32>>, key: u32) -> Leader<u32, u32> {
    match flights.join(&key) {
        Seat::Leader(leader) => leader,
        Seat::Passenger(_) => panic!("somebody leads already"),
    }
}

fn ride(flights: &Arc<Flights<u32, u32>>, key: u32) -> Passenger<u32> {
    match flights.join(&key) {
        Seat::Passenger(passenger) => passenger,
        Seat::Leader(_) => panic!("nobody leads"),
    }
}

#[tokio::test]
async fn all_who_wait_get_what_the_leader_brings() {
    let flights = flights();
    let leader = lead(&flights, 1);
    let waiting: Vec<_> = (0..64)
        .map(|_| tokio::spawn(ride(&flights, 1).wait()))
        .collect();
    lead(&flights, 2).land(Flight::Landed(2));
    leader.land(Flight::Landed(7));
    for passenger in waiting {
        assert!(matches!(passenger.await.unwrap(), Flight::Landed(7)));
    }
    // The flight is over: the next one starts anew.
    lead(&flights, 1).land(Flight::Alone);
}

#[tokio::test]
async fn a_leader_that_is_lost_frees_the_lead() {
    let flights = flights();
    let leader = lead(&flights, 1);
    let passenger = ride(&flights, 1);
    drop(leader);
    assert!(matches!(passenger.wait().await, Flight::Flying));
    lead(&flights, 1).land(Flight::Failed("no".into()));
}

#[tokio::test]
async fn a_flight_that_is_closed_ends_for_who_has_a_seat_and_the_next_starts_anew() {
    let flights = flights();
    let (leader, seated) = (lead(&flights, 1), ride(&flights, 1));
    let (other, apart) = (lead(&flights, 2), ride(&flights, 2));
    flights.close(|key| *key == 1);
    let (next, late) = (lead(&flights, 1), ride(&flights, 1));
    leader.land(Flight::Landed(7));
    assert!(matches!(seated.wait().await, Flight::Landed(7)));
    // The next one is still under way.
    let later = ride(&flights, 1);
    next.land(Flight::Landed(8));
    assert!(matches!(late.wait().await, Flight::Landed(8)));
    assert!(matches!(later.wait().await, Flight::Landed(8)));
    other.land(Flight::Landed(9));
    assert!(matches!(apart.wait().await, Flight::Landed(9)));
}

#[tokio::test]
async fn a_leader_that_is_lost_on_a_closed_flight_leaves_the_next_one_alone() {
    let flights = flights();
    let (leader, seated) = (lead(&flights, 1), ride(&flights, 1));
    flights.close(|_| true);
    let next = lead(&flights, 1);
    drop(leader);
    assert!(matches!(seated.wait().await, Flight::Flying));
    let late = ride(&flights, 1);
    next.land(Flight::Landed(8));
    assert!(matches!(late.wait().await, Flight::Landed(8)));
}

#[test]
fn solo_keys_are_forgotten_in_time_and_bounded_in_number() {
    let flights = flights();
    flights.fly_solo(&1, 0, 10);
    assert!(flights.is_solo(&1, 9) && !flights.is_solo(&2, 9));
    assert!(!flights.is_solo(&1, 10));
    flights.fly_solo(&1, 5, 15);
    assert!(!flights.is_solo(&1, 4), "the clock was set back");
    for key in 0..3 * u32::try_from(MOST_SOLO).unwrap() {
        flights.fly_solo(&key, 0, 10);
    }
    assert!(lock(&flights.solo).len() <= MOST_SOLO);
}
