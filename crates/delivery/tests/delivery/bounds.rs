//! How much there may be of what one application makes.

use dunlin_delivery::Input;
use dunlin_delivery::{
    Answer, DEFAULT_APPLICATION, DeliveryOptions, EndpointConfig, NewApplication,
};
use dunlin_types::{Code, Seq, Token, limits};

use crate::world::World;

fn answer(world: &mut World, app: Seq) -> Answer {
    let config = EndpointConfig {
        app,
        url: "https://example.com".to_owned(),
        ..EndpointConfig::default()
    };
    world.add_endpoint(config).answers.remove(0)
}

#[test]
fn one_application_cannot_use_up_the_endpoints_of_the_others() {
    let mut world = World::new(DeliveryOptions::default());
    let seen = world.tell(Input::CreateApplication {
        token: Token(1),
        new: NewApplication::default(),
    });
    let Answer::Application(other) = &seen.answers[0] else {
        panic!("an application is made");
    };
    for _ in 0..limits::ENDPOINTS_PER_APPLICATION_MAX {
        let made = answer(&mut world, DEFAULT_APPLICATION);
        assert!(matches!(made, Answer::Endpoint(_)));
    }
    match answer(&mut world, DEFAULT_APPLICATION) {
        Answer::Refused(error) => assert_eq!(error.code, Code::BadRequest),
        other => panic!("{other:?}"),
    }
    assert!(matches!(answer(&mut world, other.id), Answer::Endpoint(_)));
}
