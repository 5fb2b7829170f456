package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Answer of {@link E2B#check}.
 *
 * @param json the document as it came
 */
public record HostReport(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public HostReport {
        Objects.requireNonNull(json, "json");
    }

    /** {@return true when isolation REQUIRED can be given} */
    public boolean ready() {
        return Fields.flag(json, "ready");
    }

    /** {@return {@code local}} */
    public String backend() {
        return Fields.text(json, "backend");
    }

    /** {@return isolation that sandboxes would get; null when none can be given} */
    public IsolationReport isolation() {
        return Fields.optionalObject(json, "isolation", IsolationReport::new);
    }

    /** {@return each facility that was tried} */
    public List<HostFacility> facilities() {
        return Fields.objects(json, "facilities", HostFacility::new);
    }

    /** {@return templates and whether their interpreters are here} */
    public List<TemplateSummary> templates() {
        return Fields.objects(json, "templates", TemplateSummary::new);
    }

    /** {@return kernel release} */
    public String kernel() {
        return Fields.text(json, "kernel");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
