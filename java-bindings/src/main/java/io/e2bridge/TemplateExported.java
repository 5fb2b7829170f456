package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#exportE2BTemplate} and {@link E2B#importE2BTemplateFile}.
 *
 * @param json the document as it came
 */
public record TemplateExported(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public TemplateExported {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the new template} */
    public String templateId() {
        return Fields.text(json, "template_id");
    }

    /** {@return its name} */
    public String templateName() {
        return Fields.text(json, "template_name");
    }

    /** {@return the sandbox it was made of; null when it came from a file} */
    public String sandboxId() {
        return Fields.optionalText(json, "sandbox_id");
    }

    /** {@return {@code exported} or {@code imported}} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return built-in template below it} */
    public String baseTemplate() {
        return Fields.text(json, "base_template");
    }

    /** {@return true when {@code /home/user} and {@code /data} are in it} */
    public boolean includeData() {
        return Fields.flag(json, "include_data");
    }

    /** {@return files, directories and links in it} */
    public long entries() {
        return Fields.whole(json, "entries");
    }

    /** {@return bytes of file content} */
    public long sizeBytes() {
        return Fields.whole(json, "size_bytes");
    }

    /** {@return true when a template of that name was there before} */
    public boolean replaced() {
        return Fields.flag(json, "replaced");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
