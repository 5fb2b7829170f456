package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A host whose namespaces are refused: a JVM of an ordinary user, under a limit of no user namespaces. */
@Timeout(600)
class WeakHostTest {
    private static final String REMEDY = "sysctl -w user.max_user_namespaces=15000";

    @TempDir
    private Path directory;

    /** What the program said: answers by name, and errors behind an exclamation mark. */
    private Map<String, String> said(Isolation isolation) throws Exception {
        Path runtime = Files.createDirectories(directory.resolve("runtime"));
        String[] wrapper = {
            "unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps",
            "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces; exec env XDG_RUNTIME_DIR=\"$0\" \"$@\"", runtime.toString()
        };
        ChildJvm.Result tried = ChildJvm.run(java.util.List.of("unshare", "--user", "--map-user=1000", "--keep-caps", "true"));
        Host.require(tried.exitCode() == 0, "user namespaces that unshare can prepare: " + tried.output());
        ChildJvm.Result result = new ChildJvm().through(wrapper).run(
                WeakHostProbe.class, isolation.name(), directory.resolve("templates").toString());
        assertEquals(0, result.exitCode(), result.output());
        Map<String, String> said = new TreeMap<>();
        for (String line : result.output().split("\n")) {
            String[] parts = line.split(" (?=[=!] )", 2);
            if (parts.length == 2) {
                said.put(parts[0], parts[1].startsWith("= ") ? parts[1].substring(2).trim() : parts[1]);
            }
        }
        return said;
    }

    @Test
    void bestEffortRunsWithoutNamespacesAndSaysSo() throws Exception {
        Map<String, String> said = said(Isolation.BEST_EFFORT);
        assertEquals("false", said.get("ready"), said.toString());
        assertEquals("process", said.get("check tier"));
        assertEquals("user_namespaces: " + REMEDY, said.get("check remedy"));
        String tier = said.get("tier");
        assertTrue(tier.startsWith("process [] own ") && tier.endsWith(" per_file"), tier);
        assertEquals("healthy process [isolation_below_full]", said.get("health"), said.toString());
        assertEquals("two one 1 TEMPORARY", said.get("execute"));
        assertEquals("made", said.get("read"));
        assertTrue(said.get("outside").startsWith("! PERMISSION_DENIED"), said.get("outside"));
        assertEquals("21", said.get("javascript"));
        assertEquals("10", said.get("javascript context"));
        assertEquals("42", said.get("shell"));
        assertEquals("9 /usr", said.get("shell context"));
        assertEquals("true", said.get("time-out"));
        assertEquals("kept", said.get("export"));
        assertEquals("true", said.get("metrics"));
        assertEquals("true", said.get("alive"));
        assertEquals("terminated", said.get("terminate"));
        assertEquals("left 0", said.get("base"));
        assertEquals("none", said.get("python error"));
        assertEquals("42", said.get("python program"));
        assertEquals("[1] text child True", said.get("python"));
        assertEquals("none", said.get("node error"));
        assertEquals("child x1", said.get("node"));
    }

    @Test
    void requiredIsRefusedWithTheRemedy() throws Exception {
        Map<String, String> said = said(Isolation.REQUIRED);
        assertEquals("false", said.get("ready"), said.toString());
        assertEquals("none", said.get("check tier"));
        assertEquals("sandbox: " + REMEDY, said.get("check remedy"));
        for (String template : new String[] {"base", "python", "node"}) {
            String refusal = said.get(template);
            assertTrue(refusal.startsWith("! ISOLATION_UNAVAILABLE " + REMEDY + " | "), refusal);
            assertTrue(refusal.contains("the limit of user namespaces is 0"), refusal);
        }
        assertEquals("healthy none []", said.get("health"));
    }
}
