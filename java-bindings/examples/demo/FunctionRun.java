import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** What one function did in the demo: its checks, and the latency of every measured call. */
final class FunctionRun {
  private static final List<String> ORDER =
      List.of("Sandbox Lifecycle", "Code Execution", "Agent Execution", "Template Management", "Infrastructure", "beyond the ten");

  private final String category;
  private final String function;
  private final List<String> notes = new ArrayList<>();
  private final List<String> failures = new ArrayList<>();
  private final List<Long> nanoseconds = new ArrayList<>();

  FunctionRun(String category, String function) {
    this.category = category;
    this.function = function;
  }

  /** Runs a check whose answer says what was seen; a failure is reported at the end and ends the demo when nothing can follow. */
  <T> T check(String what, Supplier<T> work) {
    try {
      T answer = work.get();
      notes.add(what + " (" + answer + ")");
      return answer;
    } catch (RuntimeException failure) {
      failures.add(what + ": " + failure.getMessage());
      System.err.println(function + " FAILED: " + what + ": " + failure);
      return null;
    }
  }

  void note(String what, String seen) {
    notes.add(what + " (" + seen + ")");
  }

  <T> T measure(Supplier<T> call) {
    long start = System.nanoTime();
    T answer = call.get();
    nanoseconds.add(System.nanoTime() - start);
    return answer;
  }

  void measure(int times, Supplier<?> call) {
    if (!failures.isEmpty()) {
      return;
    }
    for (int i = 0; i < times; i++) {
      measure(call);
    }
  }

  String category() {
    return category;
  }

  String function() {
    return function;
  }

  int order() {
    return ORDER.indexOf(category);
  }

  boolean worked() {
    return failures.isEmpty() && !notes.isEmpty();
  }

  String details() {
    return String.join("; ", worked() ? notes : failures);
  }

  /** Microseconds that {@code share} percent of the calls did not exceed. */
  double percentile(int share) {
    if (nanoseconds.isEmpty()) {
      return Double.NaN;
    }
    long[] sorted = sorted();
    int rank = Math.max(1, (int) Math.ceil(sorted.length * share / 100.0));
    return sorted[rank - 1] / 1_000.0;
  }

  /** Calls per second of one caller. */
  double perSecond() {
    return nanoseconds.isEmpty() ? Double.NaN : 1e9 * nanoseconds.size() / Arrays.stream(sorted()).sum();
  }

  int calls() {
    return nanoseconds.size();
  }

  Map<String, Object> raw() {
    Map<String, Object> raw = new LinkedHashMap<>();
    raw.put("category", category);
    raw.put("function", function);
    raw.put("worked", worked());
    raw.put("checks", notes);
    raw.put("failures", failures);
    raw.put("calls", calls());
    raw.put("p50_us", percentile(50));
    raw.put("p99_us", percentile(99));
    raw.put("per_second", perSecond());
    raw.put("nanoseconds", nanoseconds);
    return raw;
  }

  private long[] sorted() {
    return nanoseconds.stream().mapToLong(Long::longValue).sorted().toArray();
  }
}
