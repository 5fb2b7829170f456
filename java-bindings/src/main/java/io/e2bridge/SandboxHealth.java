package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * One probed sandbox in a health report.
 *
 * @param json the document as it came
 */
public record SandboxHealth(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public SandboxHealth {
        Objects.requireNonNull(json, "json");
    }

    /** {@return identifier} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return name} */
    public String name() {
        return Fields.text(json, "name");
    }

    /** {@return template name} */
    public String template() {
        return Fields.text(json, "template");
    }

    /** {@return {@code running}: only live sandboxes are probed} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return true when its init answered the probe} */
    public boolean responsive() {
        return Fields.flag(json, "responsive");
    }

    /** {@return round trip of the probe, microseconds; null when there was no answer} */
    public Double probeUs() {
        return Fields.optionalNumber(json, "probe_us");
    }

    /** {@return live figures} */
    public SandboxMetrics metrics() {
        return new SandboxMetrics(Fields.object(json, "metrics"));
    }
}
