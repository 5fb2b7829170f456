package io.e2bridge.bench;

import java.util.Locale;

/** Figures as people read them. */
final class Text {
    private Text() {}

    /** {@return three significant digits, never an exponent; a dash for NaN} */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "–";
        }
        double size = Math.abs(value);
        String pattern = size >= 99.95 || value == Math.rint(value) && size >= 1 ? "%,.0f" : size >= 9.995 ? "%.1f" : size >= 0.9995 ? "%.2f" : "%.3f";
        return String.format(Locale.ROOT, pattern, value);
    }

    static String ratio(double value) {
        return Double.isNaN(value) ? "–" : number(value) + "×";
    }

    static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }
}
