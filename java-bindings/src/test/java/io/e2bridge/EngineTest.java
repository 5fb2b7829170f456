package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

/** What the tests of each noun have in common: one client for the class. */
@Timeout(120)
abstract class EngineTest {
    private static Engine engine;

    @BeforeAll
    static void openClient() {
        engine = Engine.open();
    }

    @AfterAll
    static void closeClient() {
        if (engine != null) {
            engine.close();
            engine = null;
        }
    }

    static Engine engine() {
        return engine;
    }

    static E2B e2b() {
        return engine.client();
    }

    static String base() {
        return engine.sandbox("base");
    }

    static void end(String sandbox) {
        e2b().terminateE2BSandbox(sandbox, true);
    }

    static E2BException fails(E2BErrorCode code, Executable call) {
        E2BException e = assertThrows(E2BException.class, call);
        assertEquals(code, e.code(), e.getMessage());
        return e;
    }

    static E2BException fails(E2BErrorCode code, String argument, Executable call) {
        E2BException e = fails(code, call);
        assertEquals(argument, e.argument(), e.getMessage());
        return e;
    }

    static void assertId(String prefix, String id) {
        assertTrue(id.matches(prefix + "_[a-z0-9]{20,}"), id);
    }
}
