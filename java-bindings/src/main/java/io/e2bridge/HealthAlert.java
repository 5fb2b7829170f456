package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * A rule that was broken at the time of a health check.
 *
 * @param json the document as it came
 */
public record HealthAlert(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public HealthAlert {
        Objects.requireNonNull(json, "json");
    }

    /** {@return name of the rule, for example {@code sandbox_memory_percent}} */
    public String rule() {
        return Fields.text(json, "rule");
    }

    /** {@return {@code warning} or {@code critical}} */
    public String severity() {
        return Fields.text(json, "severity");
    }

    /** {@return what it is about: a sandbox id, or {@code engine}, or {@code host}} */
    public String subject() {
        return Fields.text(json, "subject");
    }

    /** {@return the figure found} */
    public double value() {
        return Fields.number(json, "value");
    }

    /** {@return the figure that the rule allows} */
    public double threshold() {
        return Fields.number(json, "threshold");
    }

    /** {@return the alert in words} */
    public String message() {
        return Fields.text(json, "message");
    }
}
