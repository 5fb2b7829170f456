package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Programs in a sandbox. */
class ProcessTest extends EngineTest {
    private String sandbox;

    @BeforeEach
    void create() {
        sandbox = base();
    }

    @AfterEach
    void terminate() {
        end(sandbox);
    }

    private ProcessResult shell(String line) {
        return Documents.read(e2b().executeE2BProcess(sandbox, line, null, 30, true));
    }

    @Test
    void aShellLine() {
        ProcessResult result = shell("echo out; echo err >&2; exit 3");
        assertId("exec", result.executionId());
        assertEquals(sandbox, result.sandboxId());
        assertEquals(3, result.exitCode());
        assertEquals("out\n", result.stdout());
        assertEquals("err\n", result.stderr());
        assertEquals(8, result.output().length());
        assertEquals(4, result.stdoutBytes());
        assertFalse(result.timedOut() || result.truncated() || result.outOfMemory());
        assertNull(result.signal());
        assertTrue(result.durationMs() > 0);
    }

    @Test
    void aProgramWithArgumentsHasNoShell() {
        ProcessResult result = e2b().executeE2BProcess(sandbox, "/bin/echo", List.of("$HOME", "a b", "*", "", "é\ud83d\ude00"));
        assertEquals("$HOME a b *  é\ud83d\ude00\n", result.stdout());
        assertEquals(0, e2b().executeE2BProcess(sandbox, "true", List.of(), null, null).exitCode());
        assertEquals(127, e2b().executeE2BProcess(sandbox, "true; true", List.of(), 10, true).exitCode());
    }

    @Test
    void runsAsUserInItsHome() {
        assertEquals("/home/user\n/home/user\n1000\n", shell("pwd; echo $HOME; id -u").stdout());
        assertEquals("", shell("cat").stdout());
    }

    @Test
    void nonZeroExitsAreResults() {
        for (int code : new int[] {0, 1, 2, 42, 126, 255}) {
            assertEquals(code, shell("exit " + code).exitCode());
        }
        assertEquals(127, shell("no-such-program").exitCode());
        assertEquals(127, e2b().executeE2BProcess(sandbox, "/no/such/program", List.of(), 10, true).exitCode());
    }

    @Test
    void aSignalIsAResult() {
        ProcessResult result = shell("kill -KILL $$");
        assertEquals(-1, result.exitCode());
        assertEquals("SIGKILL", result.signal());
    }

    @Test
    void aTimeoutIsAResultAndTakesEverything() {
        long begun = System.nanoTime();
        ProcessResult result = Documents.read(e2b().executeE2BProcess(sandbox, "echo before; setsid sleep 777 & sleep 777", null, 1, true));
        assertTrue(result.timedOut());
        assertEquals(-1, result.exitCode());
        assertEquals("before\n", result.stdout());
        assertTrue(System.nanoTime() - begun < 5_000_000_000L);
        assertEquals("", shell("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep '[s]leep 777'; done").stdout());
    }

    @Test
    void theBackgroundLivesOn() {
        long begun = System.nanoTime();
        assertEquals(0, shell("(sleep 2; echo done > /tmp/done) & echo started").exitCode());
        assertTrue(System.nanoTime() - begun < 1_900_000_000L, "it waited for the background");
        assertEquals("done\n", shell("for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /tmp/done ] && break; sleep 0.5; done; cat /tmp/done").stdout());
    }

    @Test
    void captureOutputFalseKeepsNothing() {
        ProcessResult result = Documents.read(e2b().executeE2BProcess(sandbox, "echo hello", null, 10, false));
        assertEquals("", result.output());
        assertEquals("", result.stdout());
        assertEquals(0, result.exitCode());
    }

    @Test
    void bytesThatAreNoTextAreExact() {
        ProcessResult result = shell("printf 'a\\377\\200b'; printf 'ok' >&2");
        assertTrue(result.stdout().contains("\ufffd"), result.stdout());
        assertArrayEquals(new byte[] {'a', (byte) 0xff, (byte) 0x80, 'b'}, result.stdoutExact());
        assertNull(result.stderrBase64());
        assertArrayEquals(new byte[] {'o', 'k'}, result.stderrExact());
        assertEquals(4, result.stdoutBytes());
    }

    @Test
    void textOfEveryPlaneComesBack() {
        String text = "é€日本\ud83d\ude00\u0001\t\"\\";
        assertEquals(text, e2b().executeE2BProcess(sandbox, "printf", List.of("%s", text)).stdout());
    }

    @Test
    void gigabytesOfOutputAreCountedNotKept() {
        ProcessResult result = Documents.read(e2b().executeE2BProcess(sandbox, "head -c 50000000 /dev/zero | tr '\\0' x", null, 60, true));
        assertEquals(0, result.exitCode());
        assertTrue(result.truncated());
        assertEquals(50_000_000, result.stdoutBytes());
        assertEquals(8 * 1024 * 1024, result.stdout().length());
    }

    @Test
    void argumentsThatTheSystemCannotTakeAreRefused() {
        E2BException e = fails(E2BErrorCode.LIMIT_EXCEEDED, () ->
                e2b().executeE2BProcess(sandbox, "/bin/echo", List.of("a".repeat(128 * 1024)), 10, true));
        assertEquals("args[0]", e.argument());
        fails(E2BErrorCode.LIMIT_EXCEEDED, "args", () ->
                e2b().executeE2BProcess(sandbox, "/bin/echo", Collections.nCopies(200, "a".repeat(10_000)), 10, true));
        fails(E2BErrorCode.INVALID_ARGUMENT, "args[1]", () -> e2b().executeE2BProcess(sandbox, "/bin/echo", List.of("a", "b\0c"), 10, true));
        fails(E2BErrorCode.INVALID_ARGUMENT, "args[1]", () -> e2b().executeE2BProcess(sandbox, "/bin/echo", Arrays.asList("a", null), 10, true));
        fails(E2BErrorCode.INVALID_ARGUMENT, "command", () -> e2b().executeE2BProcess(sandbox, "echo a\0b"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "command", () -> e2b().executeE2BProcess(sandbox, " "));
        fails(E2BErrorCode.INVALID_ARGUMENT, "timeout", () -> e2b().executeE2BProcess(sandbox, "true", null, 0, true));
        fails(E2BErrorCode.INVALID_ARGUMENT, "timeout", () -> e2b().executeE2BProcess(sandbox, "true", null, 86_401, true));
        assertEquals(0, shell("true").exitCode());
    }

    @Test
    void nothingOfTheHostIsSeen() {
        ProcessResult result = shell("env; cat /proc/1/environ; ls -A /root /home; cat /etc/shadow");
        for (String variable : System.getenv().keySet()) {
            boolean ours = List.of("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "PWD", "_", "SHLVL", "OLDPWD").contains(variable);
            assertTrue(ours || result.output().lines().noneMatch(line -> line.startsWith(variable + "=")), variable);
        }
        assertFalse(result.output().contains(":0:") || result.output().contains("root:*"), result.output());
        assertFalse(shell("ls /proc").stdout().contains("\n" + ProcessHandle.current().pid() + "\n"));
    }
}
