package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#deleteE2BTemplate}.
 *
 * @param json the document as it came
 */
public record TemplateDeleted(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public TemplateDeleted {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the template that is gone} */
    public String templateId() {
        return Fields.text(json, "template_id");
    }

    /** {@return its name} */
    public String templateName() {
        return Fields.text(json, "template_name");
    }

    /** {@return always {@code deleted}} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
