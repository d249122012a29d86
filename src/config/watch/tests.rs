use std::fs;
use std::path::Path;

use super::*;

const TESTED: &str = "rules: [{ id: a, path: /a, access: anonymous }]\ntests: [{ request: GET https://h/a, expect: allow }]\n";
const UNTESTED: &str = "rules: [{ id: b, path: /b, access: anonymous }]\n";
const FAILING: &str = "rules: [{ id: b, path: /b, access: anonymous }]\ntests: [{ request: GET https://h/a, expect: allow }]\n";
const KEY_A: &str = "abababababababababababababababababababababababababababababababab\n";
const KEY_B: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\n";

/// A certificate and its key.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

struct Scene {
    directory: tempfile::TempDir,
    watch: Watch,
    asked: Arc<Notify>,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (rules, keys) = (directory.path().join("rules.yaml"), directory.path().join("keys"));
        fs::write(&rules, TESTED).unwrap();
        fs::write(&keys, KEY_A).unwrap();
        let in_force = rules_file::load("rules.yaml".into(), TESTED).unwrap();
        let asked = Arc::new(Notify::new());
        let (files, pair) = (TlsFiles { cert: directory.path().join("cert"), key: directory.path().join("key") }, pair());
        fs::write(&files.cert, &pair.0).unwrap();
        fs::write(&files.key, &pair.1).unwrap();
        let tls = TlsConfig { files, hash: tls::hash(&pair.0, &pair.1), pair: Pair::read(&pair.0, &pair.1).unwrap() };
        let keyring = Keyring::parse(KEY_A).unwrap();
        let mut watch = Watch::new(&RulesSource::File(rules), &in_force, Some((keys, &keyring)), [&tls], asked.clone());
        watch.every = Duration::from_millis(5);
        Self { directory, watch, asked }
    }

    fn write(&self, name: &str, text: &str) {
        let beside = self.directory.path().join("beside");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.directory.path().join(name)).unwrap();
    }

    /// The next change in one line.
    async fn next(&mut self) -> String {
        match tokio::time::timeout(Duration::from_secs(5), self.watch.next()).await.expect("no change is seen") {
            Change::Rules(rules) => format!("rules {}", rules.rules.rules().iter().map(|rule| rule.id.as_str()).collect::<String>()),
            Change::RulesRefused(problems) => format!("rules refused: {}", problems[0].path),
            Change::Keys(keyring) => format!("{} keys", keyring.names().len()),
            Change::KeysRefused(problem) => format!("keys refused: {}", problem.what),
            Change::Certificate(..) => "certificate".into(),
            Change::CertificateRefused(problem) => {
                format!("certificate refused: {}: {}", Path::new(&*problem.file).file_name().unwrap().display(), problem.what)
            }
        }
    }

    async fn assert_quiet(&mut self) {
        let change = tokio::time::timeout(Duration::from_millis(200), self.watch.next()).await;
        assert!(change.is_err(), "{change:?}");
    }
}

#[tokio::test]
async fn what_does_not_change_is_quiet() {
    Scene::new().assert_quiet().await;
}

#[tokio::test]
async fn rules_are_taken_when_they_load_and_pass_their_tests() {
    let mut scene = Scene::new();
    scene.write("rules.yaml", FAILING);
    assert_eq!(scene.next().await, "rules refused: tests[0]");
    scene.assert_quiet().await;
    scene.write("rules.yaml", "rules: [{ id: a, pth: /a }]");
    assert_eq!(scene.next().await, "rules refused: rules[0].path");
    scene.write("rules.yaml", "");
    assert_eq!(scene.next().await, "rules refused: rules");
    scene.write("rules.yaml", TESTED);
    assert_eq!(scene.next().await, "rules a");
    fs::remove_file(scene.directory.path().join("rules.yaml")).unwrap();
    assert_eq!(scene.next().await, "rules refused: (file)");
}

#[tokio::test]
async fn files_that_a_star_takes_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.yaml"), UNTESTED).unwrap();
    let source = RulesSource::Files(at("*.yaml"));
    let in_force = rules_file::load_all(rules_file::called(&source), &rules_file::texts_of(&source).unwrap(), &Default::default()).unwrap();
    let mut watch = Watch::new(&source, &in_force, None, [], Arc::default());
    watch.every = Duration::from_millis(5);
    let mut scene = Scene { watch, ..Scene::new() };
    scene.assert_quiet().await;
    fs::write(at("b.yaml"), UNTESTED.replace("b, path: /b", "n, path: /n")).unwrap();
    assert_eq!(scene.next().await, "rules bn");
    fs::rename(at("b.yaml"), at("0.yaml")).unwrap();
    assert_eq!(scene.next().await, "rules nb", "in the order of their names");
    fs::write(at("c.yaml"), UNTESTED).unwrap();
    assert_eq!(scene.next().await, "rules refused: rules[0].id", "an id in two files");
    fs::remove_file(at("c.yaml")).unwrap();
    assert_eq!(scene.next().await, "rules nb");
    fs::remove_file(at("a.yaml")).unwrap();
    assert_eq!(scene.next().await, "rules n");
    fs::remove_file(at("0.yaml")).unwrap();
    assert_eq!(scene.next().await, "rules refused: (file)", "none is no set of rules");
    scene.assert_quiet().await;
    fs::write(at("d.yaml"), UNTESTED).unwrap();
    assert_eq!(scene.next().await, "rules b");
}

#[tokio::test]
async fn rules_that_lost_their_tests_wait_to_be_asked_for() {
    let mut scene = Scene::new();
    scene.write("rules.yaml", UNTESTED);
    assert_eq!(scene.next().await, "rules refused: tests");
    scene.assert_quiet().await;
    scene.asked.notify_one();
    assert_eq!(scene.next().await, "rules b");
    scene.write("rules.yaml", &UNTESTED.replace("b, path", "c, path"));
    assert_eq!(scene.next().await, "rules c");
}

#[tokio::test]
async fn asking_reads_again_what_is_the_same() {
    let mut scene = Scene::new();
    scene.asked.notify_one();
    assert_eq!(scene.next().await, "rules a");
    scene.write("rules.yaml", FAILING);
    scene.asked.notify_one();
    assert_eq!(scene.next().await, "rules refused: tests[0]");
    scene.assert_quiet().await;
}

#[tokio::test]
async fn swapped_links_are_followed() {
    let mut scene = Scene::new();
    let at = |name: &str| scene.directory.path().join(name);
    let link = |to: &Path| {
        std::os::unix::fs::symlink(to, at("link")).unwrap();
        fs::rename(at("link"), at("rules.yaml")).unwrap();
    };
    fs::write(at("one"), TESTED.replace("id: a", "id: one")).unwrap();
    fs::write(at("two"), TESTED.replace("id: a", "id: two")).unwrap();
    link(&at("one"));
    assert_eq!(scene.next().await, "rules one");
    let at = |name: &str| scene.directory.path().join(name);
    std::os::unix::fs::symlink(at("two"), at("link")).unwrap();
    fs::rename(at("link"), at("rules.yaml")).unwrap();
    assert_eq!(scene.next().await, "rules two");
}

#[tokio::test]
async fn keys_are_taken_when_all_their_lines_are_keys() {
    let mut scene = Scene::new();
    scene.write("keys", &format!("{KEY_A}half a k"));
    assert_eq!(scene.next().await, "keys refused: line 2: not 64 hex digits (`openssl rand -hex 32` makes some)");
    scene.write("keys", &format!("{KEY_B}{KEY_A}"));
    assert_eq!(scene.next().await, "2 keys");
    scene.write("keys", &format!("# the same\n{KEY_B}{KEY_A}"));
    scene.assert_quiet().await;
    scene.write("keys", KEY_B);
    assert_eq!(scene.next().await, "1 keys");
}

#[tokio::test]
async fn a_pair_is_taken_when_it_fits() {
    let mut scene = Scene::new();
    let (one, two) = (pair(), pair());
    scene.write("cert", "nothing");
    assert_eq!(scene.next().await, "certificate refused: cert: no certificate in it");
    scene.assert_quiet().await;
    scene.write("cert", &one.0);
    scene.write("key", &one.1);
    assert_eq!(scene.next().await, "certificate");
    scene.assert_quiet().await;
    scene.write("key", "nothing");
    assert_eq!(scene.next().await, "certificate refused: key: no private key in it");
    fs::remove_file(scene.directory.path().join("key")).unwrap();
    assert!(scene.next().await.starts_with("certificate refused: key: cannot be read"));
    scene.write("key", &one.1);
    assert_eq!(scene.next().await, "certificate", "mended: the last word is not a refusal");
    scene.write("key", &two.1);
    scene.asked.notify_one();
    assert_eq!(scene.next().await, "rules a");
    assert!(scene.next().await.starts_with("certificate refused: key: the key does not belong to the first certificate in `"));
}

#[tokio::test]
async fn half_a_pair_waits_for_the_other_half() {
    let mut scene = Scene::new();
    // so that what is waited for is not over while this machine is busy
    scene.watch.every = Duration::from_millis(30);
    let two = pair();
    scene.write("cert", &two.0);
    scene.assert_quiet().await;
    scene.write("key", &two.1);
    assert_eq!(scene.next().await, "certificate");
    scene.write("cert", &pair().0);
    assert!(scene.next().await.starts_with("certificate refused: key: the key does not belong"), "but not for ever");
    scene.assert_quiet().await;
}

#[test]
fn a_change_counts_when_two_readings_agree() {
    let text = |n| Mark::Text([n; 32]);
    let mut watched = Watched::new(["x".into()], text(0));
    let mut settles = |mark, asked| watched.settling.settles(mark, [Stamp(None)], asked, AGREEING);
    assert!(!settles(text(0), false));
    assert!(!settles(text(1), false), "read once");
    assert!(!settles(text(2), false), "still being written");
    assert!(settles(text(2), false));
    assert!(!settles(text(2), false), "told once");
    assert!(!settles(text(3), false));
    assert!(!settles(text(2), false), "back before it counted");
    assert!(!settles(text(3), false), "once again");
    assert!(settles(text(4), true), "asked for");
}

#[tokio::test]
async fn a_text_of_the_same_length_and_time_is_seen_as_well() {
    let mut scene = Scene::new();
    scene.asked.notify_one();
    assert_eq!(scene.next().await, "rules a");
    scene.write("rules.yaml", &TESTED.replace("id: a", "id: z"));
    // as on a file system that tells times in seconds
    let path = scene.directory.path().join("rules.yaml");
    scene.watch.rules.as_mut().unwrap().1.stamp = Some(vec![(path.clone(), Stamp::of(&path))]);
    assert_eq!(scene.next().await, "rules z");
}
