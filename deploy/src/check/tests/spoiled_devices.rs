//! For each rule about `config.toml` and certificates, ways to break it.

use rcgen::{IsCa, date_time_ymd};

use super::spoiled::Case;
use super::world::{authority, root, signed};

pub(super) const DEVICES: &[Case] = &[
    ("not-toml", |w| w.top_toml.push_str("x = = 1\n")),
    ("colon", |w| {
        w.lower_toml("image = \"", "image: \"");
    }),
    ("stray-key", |w| {
        w.top_toml("[agent]\n", "[agent]\nhostname = \"other.example\"\n");
    }),
    ("hostname-missing", |w| {
        w.lower_toml("hostname = \"lower.example\"\n", "");
    }),
    ("hostname-too-long", |w| {
        w.lower_toml("lower.example", &format!("{}.example", "l".repeat(60)));
    }),
    ("not-a-name", |w| {
        w.lower_toml("lower.example", "https://lower.example");
    }),
    ("not-a-name", |w| {
        w.lower_toml("\"top.example\"", "\"top.example:443\"");
    }),
    ("hostname-single-label", |w| {
        w.lower_toml("lower.example", "lower");
    }),
    ("hostnames-mixed", |w| {
        w.lower_toml("lower.example", "10.0.0.5");
    }),
    ("parent-unknown", |w| {
        w.lower_toml("\"top.example\"", "\"other.example\"");
    }),
    ("parent-is-self", |w| {
        w.lower_toml("\"top.example\"", "\"lower.example\"");
    }),
    ("parent-is-self", |w| {
        w.top_toml("hostname", "parent_hostname = \"lower.example\"\nhostname");
    }),
    ("agent-past-parent", |w| {
        w.lower_toml("top.example:443/", "mcr.microsoft.com/");
    }),
    ("agent-past-parent", |w| {
        w.lower_toml("image = \"top.example:443/azureiotedge-agent:1.5\"", "");
    }),
    ("agent-port", |w| {
        w.lower_toml("top.example:443/", "top.example:8000/");
    }),
    ("agent-options", |w| {
        w.lower_toml("[agent.config]", "[agent.config]\ncreateOptions = \"{}\"");
    }),
    ("agent-login", |w| {
        w.lower_toml("[image_", "[agent.config.auth]\nserveraddress = \"top.example\"\nusername = \"u\"\npassword = \"p\"\n[image_");
    }),
    ("agent-login", |w| {
        w.lower_toml("[image_", "[agent.config.auth]\nserveraddress = \"https://top.example:443\"\nusername = \"u\"\npassword = \"p\"\n[image_");
    }),
    ("agent-login", |w| {
        w.lower_toml(
            "[image_",
            "[agent.config.auth]\nserveraddress = \"top.example:443\"\nusername = \"u\"\n[image_",
        );
    }),
    ("collection-short", |w| {
        w.lower_toml("\"7d\"", "\"1h 30m\"");
    }),
    ("bundle-missing", |w| {
        w.lower_toml("trust_bundle_cert", "other");
    }),
    ("quickstart-ca", |w| {
        w.lower_toml("\ncert = \"f", "\na = \"f")
            .lower_toml("pk =", "b =");
    }),
    ("edge-ca-half", |w| {
        w.lower_toml("pk =", "b =");
    }),
    ("not-a-file-uri", |w| {
        w.lower_toml("cert = \"file://", "cert = \"");
    }),
    ("file-missing", |w| {
        w.lower_files[1].contents = Err("No such file or directory".to_owned());
    }),
    ("bad-certificate", |w| {
        w.holds(1, "0\u{1}".to_owned());
    }),
    ("bad-key", |w| {
        w.holds(2, "nothing".to_owned());
    }),
    ("key-mismatch", |w| {
        let key = w.pki.root.key().serialize_pem();
        w.holds(2, key);
    }),
    ("key-exposed", |w| {
        let both = w.pki.edge.pem() + &w.pki.middle.pem() + &w.pki.edge.key().serialize_pem();
        w.holds(1, both);
    }),
    ("not-an-authority", |w| {
        let mut plain = authority("gateway");
        plain.is_ca = IsCa::NoCa;
        w.edge(plain);
    }),
    ("chain-broken", |w| {
        let alone = w.pki.edge.pem();
        w.holds(1, alone);
    }),
    ("chain-broken", |w| {
        let order = w.pki.edge.pem() + &w.pki.root.pem() + &w.pki.middle.pem();
        w.holds(1, order);
    }),
    ("other-root", |w| {
        let other = root("other root");
        let edge = signed(authority("gateway.ca"), &other);
        w.holds(1, edge.pem() + &other.pem())
            .holds(2, edge.key().serialize_pem());
    }),
    ("bundles-differ", |w| {
        let other = root("other root").pem();
        w.holds(0, other);
    }),
    ("expired", |w| {
        let mut old = authority("gateway.ca");
        old.not_after = date_time_ymd(2026, 5, 30);
        w.edge(old);
    }),
    ("expires-soon", |w| {
        let mut soon = authority("gateway.ca");
        soon.not_after = date_time_ymd(2026, 6, 20);
        w.edge(soon);
    }),
    ("not-yet-valid", |w| {
        let mut new = authority("gateway.ca");
        new.not_before = date_time_ymd(2026, 6, 3);
        w.edge(new);
    }),
    ("test-ca", |w| {
        w.edge(authority("Azure_IoT_Hub_CA_Cert_Test_Only"));
    }),
    ("wrong-owner", |w| {
        w.lower_files[2].access.as_mut().unwrap().owner = "root".to_owned();
    }),
    ("wrong-mode", |w| {
        w.lower_files[2].access.as_mut().unwrap().mode = 0o644;
    }),
    ("wrong-mode", |w| {
        w.lower_files[1].access.as_mut().unwrap().mode = 0o600;
    }),
    ("wrong-mode", |w| {
        w.lower_files[2].folder.as_mut().unwrap().mode = 0o755;
    }),
];
