package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#createE2BSandbox}.
 *
 * @param json the document as it came
 */
public record SandboxCreated(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public SandboxCreated {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the new sandbox} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return the name asked for} */
    public String name() {
        return Fields.text(json, "name");
    }

    /** {@return always {@code running}} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return template name} */
    public String template() {
        return Fields.text(json, "template");
    }

    /** {@return {@code tpl_} id of an exported template, or null for a built-in one} */
    public String templateId() {
        return Fields.optionalText(json, "template_id");
    }

    /** {@return when it was handed out} */
    public Instant startedAt() {
        return Fields.time(json, "started_at");
    }

    /** {@return when it will be ended} */
    public Instant expiresAt() {
        return Fields.time(json, "expires_at");
    }

    /** {@return lifetime, seconds} */
    public int timeout() {
        return Fields.integer(json, "timeout");
    }

    /** {@return limits in force} */
    public SandboxLimits limits() {
        return new SandboxLimits(Fields.object(json, "limits"));
    }

    /** {@return isolation in force} */
    public IsolationReport isolation() {
        return new IsolationReport(Fields.object(json, "isolation"));
    }

    /** {@return {@code local}} */
    public String backend() {
        return Fields.text(json, "backend");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
