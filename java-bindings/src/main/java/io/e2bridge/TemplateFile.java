package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#exportE2BTemplateFile}.
 *
 * @param json the document as it came
 */
public record TemplateFile(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public TemplateFile {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the template} */
    public String templateId() {
        return Fields.text(json, "template_id");
    }

    /** {@return its name} */
    public String templateName() {
        return Fields.text(json, "template_name");
    }

    /** {@return path on the host} */
    public String file() {
        return Fields.text(json, "file");
    }

    /** {@return size of the archive, bytes} */
    public long sizeBytes() {
        return Fields.whole(json, "size_bytes");
    }

    /** {@return always {@code written}} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
