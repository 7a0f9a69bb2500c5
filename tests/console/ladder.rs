//! The ladder from end to end: a topic of a production profile is saved, then destroyed; nothing less than every rung does it.

use crate::support::program::Home;

const PROFILE: &str = "safety {\n  production = true\n}\nintegration \"events\" {\n  type = \"memory\"\n  config {\n    topics = \"orders:2, audit:1\"\n  }\n}\n";

#[test]
fn a_topic_is_destroyed_after_arming_saving_and_typing_its_address() {
    let home = Home::new();
    let profile = home.write("prod.hcl", PROFILE);
    let tape = home.write(
        "delete.tape",
        "Set Width 100\nSet Height 30\nSet WaitTimeout 10s\nWait /● events/\nWait /READ-ONLY until armed/\nType \"2\"\nWait /orders/\nType \"/orders\"\nEnter\n\
         Type \"x1\"\nWait /not armed: ! arms/\nScreenshot unarmed\nEscape\nType \"!prod\"\nEnter\nWait /ARMED/\nType \"x1\"\nWait /type events.orders to delete topic/\n\
         Ctrl+E\nWait /orders\\.jsonl/\nEnter\nWait /Exported 0 messages/\nType \"events/order\"\nEnter\nWait /that is not the address/\nScreenshot plan\n\
         Type \"s\"\nEnter\nWait /0 of 1 match|shown 0 of 1/\nScreenshot gone\n",
    );
    let done = home.mqdeck(&["--profile", &profile.to_string_lossy(), "play", &tape.to_string_lossy(), "--frames", "frames"]).output();
    let done = done.expect("the program runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(home.path().join("orders.jsonl").exists(), "what was destroyed was saved first");
    let frame = |name: &str| std::fs::read_to_string(home.path().join(format!("frames/{name}.txt"))).expect("a frame");
    assert!(frame("plan").contains("ARMED") && frame("plan").contains("undo"), "{}", frame("plan"));
}

#[test]
fn a_command_on_a_production_profile_needs_its_name() {
    let home = Home::new();
    let profile = home.write("prod.hcl", PROFILE);
    let profile = profile.to_string_lossy().into_owned();
    for (arm, code, said) in [
        (&[][..], 3, "this production profile is not armed"),
        (&["--arm", "events"], 3, "is not this profile's name"),
        (&["--arm", "prod"], 0, "stored at"),
    ] {
        let args = [&["--profile", profile.as_str(), "publish", "events/orders", "x"], arm].concat();
        let done = home.mqdeck(&args).output().expect("the program runs");
        let told = [done.stdout, done.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(done.status.code() == Some(code) && told.contains(said), "{arm:?}: {told}");
    }
}
