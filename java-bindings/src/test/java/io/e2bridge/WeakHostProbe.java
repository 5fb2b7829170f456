package io.e2bridge;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;

/** A program that uses sandboxes on a host without namespaces and says what it got, a line each. */
public final class WeakHostProbe {
    private WeakHostProbe() {}

    /**
     * Runs the program.
     *
     * @param arguments the isolation asked for, a directory for templates
     */
    public static void main(String[] arguments) {
        E2BConfig config = E2BConfig.builder()
                .isolation(Isolation.valueOf(arguments[0]))
                .dataDirectory(Path.of(arguments[1]))
                .build();
        HostReport host = E2B.check(config);
        say("ready", () -> host.ready());
        say("check tier", () -> host.isolation() == null ? "none" : host.isolation().tier());
        HostFacility facility = host.facilities().stream()
                .filter(one -> !one.available() && one.remedy() != null && one.remedy().contains("namespaces"))
                .findFirst()
                .orElse(null);
        say("check remedy", () -> facility == null ? "none" : facility.name() + ": " + facility.remedy());
        try (E2B e2b = E2B.open(config)) {
            say("base", () -> base(e2b));
            say("python", () -> python(e2b));
            say("node", () -> node(e2b));
            say("health", () -> health(e2b));
        }
    }

    private static void say(String what, Supplier<Object> call) {
        try {
            System.out.println(what + " = " + call.get());
        } catch (E2BException e) {
            System.out.println(what + " ! " + e.code() + " " + e.context().get("remedy") + " | " + e.getMessage());
        }
    }

    private static String base(E2B e2b) {
        String sandbox = e2b.createE2BSandbox("weak", "base", 600, 128, 1).sandboxId();
        IsolationReport isolation = e2b.getE2BSandboxStatus(sandbox).isolation();
        say("tier", () -> isolation.tier() + " " + isolation.namespaces() + " " + isolation.ids() + " " + isolation.processes()
                + " " + isolation.disk());
        e2b.writeE2BFile(sandbox, "/data/prices.csv", "one\n".getBytes(StandardCharsets.UTF_8));
        e2b.writeE2BFile(sandbox, "note", "two\n".getBytes(StandardCharsets.UTF_8));
        say("execute", () -> e2b.executeE2BProcess(
                        sandbox, "cat note \"$E2B_ROOT/data/prices.csv\"; pwd | grep -c \"^$HOME$\"; echo made >$HOME/made; mktemp -u")
                .stdout()
                .replaceAll("\\S*/tmp/tmp\\S*", "TEMPORARY")
                .replace('\n', ' '));
        say("read", () -> new String(e2b.readE2BFile(sandbox, "/home/user/made").content(), StandardCharsets.UTF_8).trim());
        say("outside", () -> e2b.readE2BFile(sandbox, "/etc/hostname").content());
        say("javascript", () -> e2b.runE2BCode(sandbox, "javascript", "let x = 20; x + 1").result());
        say("javascript context", () -> {
            e2b.runE2BCode(sandbox, "javascript", "globalThis.y = 5", "c", 10);
            return e2b.runE2BCode(sandbox, "javascript", "y * 2", "c", 10).result();
        });
        say("shell", () -> e2b.runE2BCode(sandbox, "shell", "printf %s \"$((6*7))\"").stdout());
        say("shell context", () -> {
            e2b.runE2BCode(sandbox, "shell", "z=9; cd /usr", "s", 10);
            return e2b.runE2BCode(sandbox, "shell", "echo $z $PWD", "s", 10).stdout().trim();
        });
        say("time-out", () -> e2b.executeE2BProcess(sandbox, "setsid sleep 987 & sleep 987", null, 1, true).timedOut());
        e2b.executeE2BProcess(sandbox, "echo kept >\"$E2B_ROOT/opt/kept\"");
        say("export", () -> {
            e2b.exportE2BTemplate(sandbox, "kept", false);
            String copy = e2b.createE2BSandbox("copy", "kept", 600, 128, 1).sandboxId();
            String text = e2b.executeE2BProcess(copy, "cat \"$E2B_ROOT/opt/kept\"").stdout().trim();
            e2b.terminateE2BSandbox(copy, true);
            return text;
        });
        say("metrics", () -> e2b.getE2BSandboxStatus(sandbox).metrics().diskUsedBytes() > 0);
        e2b.executeE2BProcess(sandbox, "(setsid sleep 986 &) ; sleep 985 &");
        say("alive", () -> sleepers() > 0);
        say("terminate", () -> e2b.terminateE2BSandbox(sandbox, false).status());
        return "left " + sleepers();
    }

    /** Programs of this test that the machine still runs. */
    private static long sleepers() {
        return ProcessHandle.current().descendants()
                .filter(process -> process.info().commandLine().orElse("").matches(".*sleep 98[567]$"))
                .count();
    }

    private static String python(E2B e2b) {
        String sandbox = e2b.createE2BSandbox("weak", "python", 600, 256, 1).sandboxId();
        e2b.writeE2BFile(sandbox, "/data/x.txt", "text".getBytes(StandardCharsets.UTF_8));
        CodeResult result = e2b.runE2BCode(sandbox, "python", """
                import json, os, subprocess, tempfile
                print(json.dumps([1]), open(os.environ["E2B_ROOT"] + "/data/x.txt").read(), subprocess.check_output(["echo", "child"]).decode().strip())
                tempfile.NamedTemporaryFile().name.startswith(os.environ["E2B_ROOT"])""");
        say("python error", () -> result.error() == null ? "none" + result.stderr() : result.error().json());
        String executed = e2b.executeE2BProcess(sandbox, "python3", List.of("-c", "print(40 + 2)"), 20, true).json().toString();
        say("python program", () -> executed.contains("\"output\":\"42\\n\"") ? "42" : executed);
        e2b.terminateE2BSandbox(sandbox, true);
        return result.stdout().trim() + " " + result.result();
    }

    private static String node(E2B e2b) {
        String sandbox = e2b.createE2BSandbox("weak", "node", 600, 512, 1).sandboxId();
        CodeResult result = e2b.runE2BCode(sandbox, "javascript", """
                const fs = require('fs');
                console.log(require('child_process').execFileSync('echo', ['child']).toString().trim());
                fs.writeFileSync(process.env.HOME + '/made', 'x');
                fs.readFileSync(process.env.HOME + '/made', 'utf8') + 1""");
        say("node error", () -> result.error() == null ? "none" + result.stderr() : result.error().json());
        e2b.terminateE2BSandbox(sandbox, true);
        return result.stdout().trim() + " " + result.result();
    }

    private static String health(E2B e2b) {
        HealthReport health = e2b.monitorE2BHealth(true);
        return health.overallHealth() + " " + health.isolation().tier() + " "
                + health.alerts().stream().map(HealthAlert::rule).filter(rule -> rule.startsWith("isolation")).toList();
    }
}
