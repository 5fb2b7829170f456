use std::time::{Duration, Instant};

use e2bridge_core::request::ExportTemplate;
use e2bridge_core::{Backend, CancelToken, Code};

use crate::support::{engine, open};

#[test]
fn what_a_sandbox_changed_comes_back_in_the_next() {
    let Some(fixture) = engine() else { return };
    let first = fixture.create("base").unwrap();
    fixture.output(
        &first,
        "set -e; mkdir -p /opt/tool/bin /usr/local/bin /srv/a/b/c; printf '#!/bin/sh\\necho tool runs\\n' > /opt/tool/bin/run; \
         chmod 755 /opt/tool/bin/run; ln -s /opt/tool/bin/run /usr/local/bin/tool; printf secret > /opt/private; \
         chmod 600 /opt/private; printf deep > /srv/a/b/c/file; chmod 500 /srv/a/b/c; touch \"/opt/a name 'with\" \"$(printf '/opt/\\377')\"; \
         echo t > /tmp/t; echo v > /var/tmp/v; echo h > /home/user/h; echo d > /data/d; cp /opt/private /opt/set; chmod 6755 /opt/set; \
         touch -d @1000000000 /opt/private",
    );
    let exported = fixture.export(&first, "tool", false).unwrap();
    assert_eq!((exported.base_template.as_str(), exported.replaced), ("base", false));
    assert!(exported.entries >= 12 && exported.size_bytes > 30, "{exported:?}");

    for template in ["tool", exported.template_id.as_str()] {
        let sandbox = fixture.create(template).unwrap();
        assert_eq!(fixture.output(&sandbox, "tool"), "tool runs\n");
        let modes = "stat -c '%a %u %n' /opt/private /opt/set /srv/a/b/c; stat -c %Y /opt/private; cat /srv/a/b/c/file /var/tmp/v";
        assert_eq!(
            fixture.output(&sandbox, modes),
            "600 1000 /opt/private\n755 1000 /opt/set\n500 1000 /srv/a/b/c\n1000000000\ndeepv\n"
        );
        assert_eq!(fixture.output(&sandbox, "ls /opt | wc -l"), "5\n");
        assert_eq!(
            fixture.output(&sandbox, "ls -A /tmp /home/user /data"),
            "/data:\n\n/home/user:\n\n/tmp:\n"
        );
        let status = fixture.backend.sandbox_status(&sandbox).unwrap();
        assert_eq!(*status.template, *"tool");
    }

    let replaced = fixture.export(&first, "tool", true).unwrap();
    assert!(replaced.replaced && replaced.include_data);
    let sandbox = fixture.create("tool").unwrap();
    assert_eq!(fixture.output(&sandbox, "cat /home/user/h /data/d; ls -A /tmp"), "h\nd\n");
    let error = fixture.create(&exported.template_id).unwrap_err();
    assert_eq!((error.code(), error.argument()), (Code::NotFound, Some("template")));
    assert!(error.message().contains("base, python, node, tool"), "{error}");
}

#[test]
fn a_template_of_a_template_holds_both() {
    let Some(fixture) = engine() else { return };
    let first = fixture.create("base").unwrap();
    fixture.output(&first, "echo 1 > /opt/one");
    fixture.export(&first, "one", false).unwrap();
    let second = fixture.create("one").unwrap();
    fixture.output(&second, "echo 2 > /opt/two");
    fixture.export(&second, "two", false).unwrap();
    fixture.backend.delete_template("one").unwrap();
    let third = fixture.create("two").unwrap();
    assert_eq!(fixture.output(&third, "cat /opt/one /opt/two"), "1\n2\n");
}

#[test]
fn a_template_travels_to_another_store() {
    let Some(here) = engine() else { return };
    let there = open();
    let sandbox = here.create("base").unwrap();
    here.output(&sandbox, "head -c 3000000 /dev/urandom > /opt/data; sha256sum < /opt/data > /opt/sum");
    here.export(&sandbox, "data", false).unwrap();
    let file = here.path("data.e2b");
    here.backend.export_template_file("data", &file).unwrap();
    let imported = there.backend.import_template_file(&file, Some("renamed")).unwrap();
    assert_eq!(imported.status, "imported");
    let sandbox = there.create("renamed").unwrap();
    assert_eq!(there.output(&sandbox, "sha256sum < /opt/data | cmp - /opt/sum && echo same"), "same\n");
}

#[test]
fn odd_files_are_left_out_or_refused_at_once() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(
        &sandbox,
        "mkfifo /opt/fifo; cd /srv; i=0; while [ $i -lt 2000 ]; do : > f$i; i=$((i+1)); done; ln -s / /opt/root; ln -s loop /opt/loop",
    );
    let exported = fixture.export(&sandbox, "odd", false).unwrap();
    assert_eq!(exported.entries, 2_002, "the fifo is left out");
    let copy = fixture.create("odd").unwrap();
    assert_eq!(
        fixture.output(&copy, "ls /srv | wc -l; ls /opt; readlink /opt/root /opt/loop"),
        "2000\nloop\nroot\n/\nloop\n"
    );

    // A terabyte that takes no room, and more levels than a template may have.
    for (line, rule) in [
        ("truncate -s 1T /opt/huge", "bytes"),
        ("rm /opt/huge; cd /opt; i=0; while [ $i -lt 600 ]; do mkdir d; cd -P d; i=$((i+1)); done", "levels"),
    ] {
        fixture.output(&sandbox, line);
        let begun = Instant::now();
        let error = fixture.export(&sandbox, "odd", false).unwrap_err();
        assert_eq!(error.code(), Code::LimitExceeded, "{line}: {error}");
        assert!(error.message().contains(rule), "{line}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{line}: {:?}", begun.elapsed());
    }
    assert_eq!(fixture.backend.list_templates().unwrap().total_count, 4, "the old one is still there");
    fixture.terminate(&sandbox);
}

#[test]
fn a_template_that_does_not_fit_leaves_nothing() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(&sandbox, "head -c 20000000 /dev/urandom > /opt/big");
    fixture.export(&sandbox, "big", false).unwrap();
    let error = fixture.create_with("big", Some(32)).unwrap_err();
    assert_eq!(error.code(), Code::LimitExceeded, "{error}");
    assert_eq!(fixture.backend.live_sandboxes(), 1);
    fixture.create_with("big", Some(128)).unwrap();
}

#[test]
fn a_damaged_template_is_found_before_a_sandbox_is_handed_out() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(&sandbox, "head -c 100000 /dev/urandom > /opt/x");
    fixture.export(&sandbox, "broken", false).unwrap();
    let path = fixture.path("templates/broken.tar");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = fixture.create("broken").unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains("damaged"), "{error}");
    assert_eq!(fixture.backend.live_sandboxes(), 1);
}

#[test]
fn a_tree_full_of_traps_is_exported_as_what_it_is() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(
        &sandbox,
        "ln -s /etc /opt/etc; ln -s /proc/1/root /opt/proc; ln -s .. /opt/up; ln -s /opt /opt/self; mkfifo /srv/fifo; \
         mkdir /opt/shut /var/tmp/own; echo hidden > /opt/shut/f; chmod 0 /opt/shut/f /opt/shut; chmod 6777 /var/tmp/own; \
         echo x > /opt/hard; ln /opt/hard /opt/hard2; chmod 7777 /opt/hard; touch -d @-5 /opt/early; touch -d @99999999999 /opt/late; \
         ln -s \"$(printf '/opt/%04000d' 1)\" /opt/long; touch \"/opt/$(printf '\\001\\377 -rf')\" /opt/..hidden",
    );
    let exported = fixture.export(&sandbox, "traps", false).unwrap();
    assert_eq!(exported.entries, 14, "all but the fifo");
    let copy = fixture.create("traps").unwrap();
    let modes = "stat -c '%a %h %F %n' /opt/hard /opt/hard2 /opt/shut /var/tmp/own; chmod 700 /opt/shut; stat -c %a /opt/shut/f";
    assert_eq!(
        fixture.output(&copy, modes),
        "777 1 regular file /opt/hard\n777 1 regular file /opt/hard2\n0 2 directory /opt/shut\n777 2 directory /var/tmp/own\n0\n"
    );
    assert_eq!(
        fixture.output(
            &copy,
            "readlink /opt/etc /opt/proc /opt/up /opt/self; readlink /opt/long | wc -c; ls /opt/..hidden"
        ),
        "/etc\n/proc/1/root\n..\n/opt\n4006\n/opt/..hidden\n"
    );
    // The places themselves are what they always are.
    assert_eq!(
        fixture.output(&copy, "stat -c '%F %n' /opt /usr/local /srv /var/tmp /home/user /data /dev /proc /etc | grep -vc directory; true"),
        "0\n"
    );
    fixture.terminate(&copy);
    fixture.terminate(&sandbox);
}

#[test]
fn an_export_while_everything_moves_is_a_template_or_a_typed_error() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(&sandbox, "echo first > /opt/x");
    fixture.export(&sandbox, "moving", false).unwrap();
    fixture.output(
        &sandbox,
        "mkdir -p /opt/d/e; for i in 1 2 3 4 5 6 7 8 9; do echo $i > /opt/d/e/$i; done; \
         (i=0; while [ $i -lt 20000 ]; do for t in / /proc/1 /etc .. x; do mv /opt/d /opt/g; ln -s $t /opt/d; rm /opt/d; mkfifo /opt/d; \
         rm /opt/d; mv /opt/g /opt/d; echo $i$i$i > /opt/d/e/5; : > /opt/d/e/5; done; i=$((i+1)); done) > /dev/null 2>&1 &",
    );
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        if let Err(error) = fixture.export(&sandbox, "moving", false) {
            assert!(matches!(error.code(), Code::Unavailable | Code::LimitExceeded), "{error}");
        }
        // Whatever came of it, what is there can be used.
        let copy = fixture.create("moving").unwrap();
        assert_eq!(
            fixture.output(&copy, "cat /opt/x; find /opt -type l -o -type p | grep -vc '^/opt/d$'; true"),
            "first\n0\n"
        );
        fixture.terminate(&copy);
    }
    let begun = Instant::now();
    fixture.terminate(&sandbox);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn twenty_thousand_entries_are_exported_and_the_end_is_quick() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(
        &sandbox,
        "mkdir /opt/many; cd /opt/many; seq 1 20000 | xargs touch; printf x > /opt/many/20001",
    );
    let exported = fixture.export(&sandbox, "many", false).unwrap();
    assert_eq!((exported.entries, exported.size_bytes), (20_002, 1));
    let copy = fixture.create("many").unwrap();
    assert_eq!(fixture.output(&copy, "ls /opt/many | wc -l; cat /opt/many/20001"), "20001\nx");
    for sandbox in [sandbox, copy] {
        let begun = Instant::now();
        fixture.terminate(&sandbox);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[test]
fn what_somebody_put_into_the_store_makes_no_sandbox_and_hides_no_template() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(&sandbox, "echo good > /opt/x");
    fixture.export(&sandbox, "good", false).unwrap();
    let store = fixture.directory.path().join("templates");
    std::os::unix::fs::symlink(store.join("good.tar"), store.join("link.tar")).unwrap();
    std::fs::create_dir(store.join("directory.tar")).unwrap();
    std::fs::write(store.join("text.tar"), "x".repeat(10_000)).unwrap();
    std::fs::copy(store.join("good.tar"), store.join("renamed.tar")).unwrap();
    for name in ["link", "directory", "text", "renamed"] {
        let error = fixture.create(name).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(error.message().contains("damaged"), "{error}");
        let error = fixture.deploy(name, serde_json::json!({"instances": 2})).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
    }
    assert_eq!(fixture.backend.live_sandboxes(), 1);
    let copy = fixture.create("good").unwrap();
    assert_eq!(fixture.output(&copy, "cat /opt/x"), "good\n");
    assert_eq!(fixture.backend.list_templates().unwrap().total_count, 3 + 5);
}

#[test]
fn exports_need_a_live_sandbox_and_can_be_cancelled() {
    let Some(fixture) = engine() else { return };
    let sandbox = fixture.create("base").unwrap();
    fixture.output(&sandbox, "head -c 50000000 /dev/urandom > /opt/big");
    let request = ExportTemplate::new(&sandbox, "cancelled", None).unwrap();
    let token = CancelToken::new();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            token.cancel();
        });
        fixture.backend.export_template(&request, &token).unwrap_err()
    });
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    assert_eq!(fixture.backend.list_templates().unwrap().total_count, 3);
    let left: Vec<_> = std::fs::read_dir(fixture.directory.path().join("templates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, [".lock"]);

    fixture.terminate(&sandbox);
    let error = fixture.export(&sandbox, "late", false).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(error.context()["status"], "terminated");
}
