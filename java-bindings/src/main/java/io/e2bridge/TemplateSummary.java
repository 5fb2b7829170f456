package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * One row of {@link E2B#listE2BTemplates}.
 *
 * @param json the document as it came
 */
public record TemplateSummary(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public TemplateSummary {
        Objects.requireNonNull(json, "json");
    }

    /** {@return name to create from} */
    public String templateName() {
        return Fields.text(json, "template_name");
    }

    /** {@return {@code tpl_} id; null for a built-in one} */
    public String templateId() {
        return Fields.optionalText(json, "template_id");
    }

    /** {@return true for {@code base}, {@code python} and {@code node}} */
    public boolean builtIn() {
        return Fields.flag(json, "built_in");
    }

    /** {@return built-in template below it (itself for a built-in one)} */
    public String baseTemplate() {
        return Fields.text(json, "base_template");
    }

    /** {@return languages of {@code run_e2b_code}} */
    public List<String> languages() {
        return Fields.texts(json, "languages");
    }

    /** {@return false when this host lacks the interpreter} */
    public boolean available() {
        return Fields.flag(json, "available");
    }

    /** {@return why it is not available; null when it is} */
    public String reason() {
        return Fields.optionalText(json, "reason");
    }

    /** {@return bytes of file content; 0 for a built-in one} */
    public long sizeBytes() {
        return Fields.whole(json, "size_bytes");
    }

    /** {@return when it was exported; null for a built-in one} */
    public Instant createdAt() {
        return Fields.optionalTime(json, "created_at");
    }
}
