package io.e2bridge.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class SettingsTest {
    @Test
    void optionsAreRead() {
        Settings settings = Settings.of(new String[] {"--quick", "--only", "Status", "--alone", "--with-alternatives", "--output", "there"});
        assertSame(Effort.QUICK, settings.effort());
        assertTrue(settings.alone() && settings.alternatives());
        assertEquals(Path.of("there"), settings.output());
        assertTrue(settings.wants(Row.of("status", "group", "title")) && settings.wants(Row.of("id", "group", "a STATUS")));
        assertFalse(settings.wants(Row.of("id", "group", "title")));
        assertTrue(Settings.of(new String[0]).wants(Row.of("id", "group", "title")));
    }

    @Test
    void wrongOptionsAreNamed() {
        assertEquals("there is no option --fast", assertThrows(IllegalArgumentException.class, () -> Settings.of(new String[] {"--fast"})).getMessage());
        assertEquals("--only needs a value", assertThrows(IllegalArgumentException.class, () -> Settings.of(new String[] {"--only"})).getMessage());
    }
}
