package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Templates: export, use, replace, delete, to and from a file. */
class TemplateTest extends EngineTest {
    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String cat(String template, String path) {
        String sandbox = e2b().createE2BSandbox(Engine.name(), template, 60, 64, 1).sandboxId();
        try {
            return e2b().executeE2BProcess(sandbox, "cat " + path).output();
        } finally {
            end(sandbox);
        }
    }

    @Test
    void theBuiltInOnes() {
        TemplateList list = Documents.read(e2b().listE2BTemplates());
        assertEquals(list.templates().size(), list.totalCount());
        for (String name : List.of("base", "python", "node")) {
            TemplateSummary one = list.templates().stream().filter(t -> t.templateName().equals(name)).findFirst().orElseThrow();
            assertTrue(one.builtIn());
            assertNull(one.templateId());
            assertEquals(name, one.baseTemplate());
            assertFalse(one.languages().isEmpty());
        }
    }

    @Test
    void exportTakesWhatTheSandboxChanged() {
        String sandbox = base();
        e2b().writeE2BFile(sandbox, "/opt/tool/file", utf8("opt"));
        e2b().writeE2BFile(sandbox, "/home/user/file", utf8("home"));
        e2b().writeE2BFile(sandbox, "/tmp/file", utf8("tmp"));
        TemplateExported exported = Documents.read(e2b().exportE2BTemplate(sandbox, "tool"));
        assertId("tpl", exported.templateId());
        assertEquals("tool", exported.templateName());
        assertEquals(sandbox, exported.sandboxId());
        assertEquals("exported", exported.status());
        assertEquals("base", exported.baseTemplate());
        assertFalse(exported.includeData());
        assertEquals("opt", cat("tool", "/opt/tool/file"));
        assertEquals("opt", cat(exported.templateId(), "/opt/tool/file"));
        assertNotEquals("home", cat("tool", "/home/user/file"));
        e2b().exportE2BTemplate(sandbox, "tool-with-data", true);
        assertEquals("home", cat("tool-with-data", "/home/user/file"));
        assertNotEquals("tmp", cat("tool-with-data", "/tmp/file"));
        end(sandbox);
    }

    @Test
    void anExistingOneIsReplaced() {
        String sandbox = base();
        e2b().writeE2BFile(sandbox, "/opt/version", utf8("1"));
        TemplateExported first = e2b().exportE2BTemplate(sandbox, "versions", false);
        assertFalse(first.replaced());
        e2b().writeE2BFile(sandbox, "/opt/version", utf8("2"));
        TemplateExported second = e2b().exportE2BTemplate(sandbox, "versions", false);
        assertTrue(second.replaced());
        assertEquals("2", cat("versions", "/opt/version"));
        end(sandbox);
    }

    @Test
    void reservedNamesAreTaken() {
        String sandbox = base();
        for (String name : List.of("base", "python", "node", "tpl_mine")) {
            fails(E2BErrorCode.ALREADY_EXISTS, "template_name", () -> e2b().exportE2BTemplate(sandbox, name));
        }
        for (String name : List.of("", "../x", "Upper", "a b")) {
            fails(E2BErrorCode.INVALID_ARGUMENT, "template_name", () -> e2b().exportE2BTemplate(sandbox, name));
        }
        end(sandbox);
    }

    @Test
    void deletedOnesAreGone() {
        String sandbox = base();
        e2b().exportE2BTemplate(sandbox, "to-delete");
        TemplateDeleted deleted = Documents.read(e2b().deleteE2BTemplate("to-delete"));
        assertEquals("to-delete", deleted.templateName());
        assertEquals("deleted", deleted.status());
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().createE2BSandbox(Engine.name(), "to-delete"));
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().deleteE2BTemplate("to-delete"));
        E2BException e = assertThrows(E2BException.class, () -> e2b().deleteE2BTemplate("base"));
        assertNotEquals(E2BErrorCode.INTERNAL, e.code());
        end(sandbox);
    }

    @Test
    void theyOutliveTheClient() {
        String sandbox = base();
        e2b().writeE2BFile(sandbox, "/opt/kept", utf8("kept"));
        e2b().exportE2BTemplate(sandbox, "kept");
        end(sandbox);
        try (E2B later = E2B.open(E2BConfig.builder().dataDirectory(engine().directory()).build())) {
            String other = later.createE2BSandbox("later", "kept", 60, 64, 1).sandboxId();
            assertEquals("kept", later.executeE2BProcess(other, "cat /opt/kept").output());
        }
    }

    @Test
    void toAFileAndBackUnderAnotherName(@TempDir Path directory) {
        String sandbox = base();
        e2b().writeE2BFile(sandbox, "/opt/travels", utf8("far"));
        e2b().exportE2BTemplate(sandbox, "traveller");
        end(sandbox);
        Path archive = directory.resolve("archive é.tar.zst");
        TemplateFile file = Documents.read(e2b().exportE2BTemplateFile("traveller", archive));
        assertEquals(archive.toString(), file.file());
        assertTrue(Files.exists(archive));
        TemplateExported imported = Documents.read(e2b().importE2BTemplateFile(archive, "arrived"));
        assertEquals("arrived", imported.templateName());
        assertEquals("imported", imported.status());
        assertNull(imported.sandboxId());
        assertEquals("far", cat("arrived", "/opt/travels"));
        try (Engine other = Engine.open()) {
            assertEquals("traveller", other.client().importE2BTemplateFile(archive).templateName());
        }
    }

    @Test
    void whatIsNoArchiveIsRefused(@TempDir Path directory) throws Exception {
        Path file = Files.writeString(directory.resolve("none"), "this is no archive");
        E2BException e = assertThrows(E2BException.class, () -> e2b().importE2BTemplateFile(file, "none"));
        assertTrue(e.code() == E2BErrorCode.INVALID_ARGUMENT || e.code() == E2BErrorCode.UNSUPPORTED, e.toString());
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().importE2BTemplateFile(directory.resolve("missing"), "none"));
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().exportE2BTemplateFile("no-such", directory.resolve("x")));
    }
}
