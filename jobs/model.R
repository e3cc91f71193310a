# Fits a line to data that comes with R (how far a car goes until it stops, by its speed) and prints it.
fit <- lm(dist ~ speed, data = cars)
cat(sprintf("distance = %.2f + %.2f * speed\n", coef(fit)[["(Intercept)"]], coef(fit)[["speed"]]))
cat(sprintf("r squared %.3f, %d cars\n", summary(fit)$r.squared, nrow(cars)))
