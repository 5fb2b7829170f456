package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Code in a warm interpreter. */
class CodeTest extends EngineTest {
    /** What differs from language to language. */
    private record Dialect(String template, String language, String sum, String print, String fail, String failure, String set, String get, String endless) {}

    private static final List<Dialect> DIALECTS = List.of(
            new Dialect("base", "javascript", "1 + 2", "console.log('hello')", "null.x", "TypeError",
                    "globalThis.kept = 41", "kept + 1", "for (;;) {}"),
            new Dialect("node", "javascript", "1 + 2", "console.log('hello')", "null.x", "TypeError",
                    "globalThis.kept = 41", "kept + 1", "for (;;) {}"),
            new Dialect("python", "python", "1 + 2", "print('hello')", "1 / 0", "ZeroDivisionError",
                    "kept = 41", "kept + 1", "while True: pass"));

    private static Dialect dialect(String template) {
        return DIALECTS.stream().filter(one -> one.template().equals(template)).findFirst().orElseThrow();
    }

    @ParameterizedTest
    @CsvSource({"base", "node", "python"})
    void resultOutputAndExceptionAreResults(String template) {
        Dialect dialect = dialect(template);
        String sandbox = engine().sandbox(template);
        CodeResult sum = Documents.read(e2b().runE2BCode(sandbox, dialect.language(), dialect.sum()));
        assertId("exec", sum.executionId());
        assertEquals("3", sum.result());
        assertEquals(dialect.language(), sum.language());
        assertNull(sum.error());
        assertNull(sum.context());
        assertTrue(sum.results().stream().anyMatch(output -> output.isMainResult() && output.text().equals("3")), sum.json().toString());
        CodeResult print = Documents.read(e2b().runE2BCode(sandbox, dialect.language(), dialect.print(), null, 10));
        assertEquals("hello\n", print.stdout());
        CodeResult fail = Documents.read(e2b().runE2BCode(sandbox, dialect.language(), dialect.fail(), null, 10));
        assertNotNull(fail.error(), fail.json().toString());
        assertEquals(dialect.failure(), fail.error().name());
        assertNull(fail.result());
        end(sandbox);
    }

    @ParameterizedTest
    @CsvSource({"base", "node", "python"})
    void statelessUnlessInAContext(String template) {
        Dialect dialect = dialect(template);
        String sandbox = engine().sandbox(template);
        e2b().runE2BCode(sandbox, dialect.language(), dialect.set());
        assertNotNull(e2b().runE2BCode(sandbox, dialect.language(), dialect.get()).error());
        assertNull(e2b().runE2BCode(sandbox, dialect.language(), dialect.set(), "mine").error());
        CodeResult kept = Documents.read(e2b().runE2BCode(sandbox, dialect.language(), dialect.get(), "mine"));
        assertEquals("42", kept.result(), kept.json().toString());
        assertEquals("mine", kept.context());
        assertNotNull(e2b().runE2BCode(sandbox, dialect.language(), dialect.get(), "other").error());
        end(sandbox);
    }

    @ParameterizedTest
    @CsvSource({"base", "node", "python"})
    void anEndlessLoopTimesOutAndTheSandboxLivesOn(String template) {
        Dialect dialect = dialect(template);
        String sandbox = engine().sandbox(template);
        long begun = System.nanoTime();
        CodeResult result = Documents.read(e2b().runE2BCode(sandbox, dialect.language(), dialect.endless(), null, 1));
        assertTrue(result.timedOut(), result.json().toString());
        assertTrue(System.nanoTime() - begun < 10_000_000_000L);
        assertEquals("3", e2b().runE2BCode(sandbox, dialect.language(), dialect.sum()).result());
        end(sandbox);
    }

    @Test
    void shellCode() {
        String sandbox = base();
        CodeResult result = Documents.read(e2b().runE2BCode(sandbox, "sh", "echo $((6 * 7)); exit 3"));
        assertEquals("shell", result.language());
        assertEquals("42\n", result.stdout());
        assertNotNull(result.error());
        end(sandbox);
    }

    @Test
    void codeOfEveryPlaneComesBack() {
        String sandbox = base();
        CodeResult result = e2b().runE2BCode(sandbox, "js", "'é€日本\ud83d\ude00' + String.fromCharCode(1) + '\\\\\"'");
        assertEquals("é€日本\ud83d\ude00\u0001\\\"", result.result());
        end(sandbox);
    }

    @Test
    void languagesThatTheTemplateLacksAreUnsupported() {
        String sandbox = base();
        E2BException e = fails(E2BErrorCode.UNSUPPORTED, () -> e2b().runE2BCode(sandbox, "python", "1"));
        assertTrue(e.getMessage().contains("python"), e.getMessage());
        fails(E2BErrorCode.INVALID_ARGUMENT, "language", () -> e2b().runE2BCode(sandbox, "cobol", "1"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "language", () -> e2b().runE2BCode(sandbox, null, "1"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "code", () -> e2b().runE2BCode(sandbox, "js", null));
        fails(E2BErrorCode.INVALID_ARGUMENT, "context", () -> e2b().runE2BCode(sandbox, "js", "1", "Not A Name"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "timeout", () -> e2b().runE2BCode(sandbox, "js", "1", null, 0));
        fails(E2BErrorCode.LIMIT_EXCEEDED, "code", () -> e2b().runE2BCode(sandbox, "js", "//" + "x".repeat(17 * 1024 * 1024)));
        end(sandbox);
    }

    @Test
    void manyRunsInARow() {
        String sandbox = base();
        for (int i = 0; i < 500; i++) {
            assertEquals(Integer.toString(i * 2), e2b().runE2BCode(sandbox, "js", i + " * 2", i % 2 == 0 ? null : "c", 10).result());
        }
        end(sandbox);
    }
}
